//! Networks to cut: a host or a gateway with real peers, each in a namespace of its own, dual stack.
//!
//! ```text
//!                    N 10.0.0.3            M 10.0.1.2 ────┐
//!                    │                     │              │ 10.0.9.0/24
//! L ── i0 SUBJECT u0 ┴─ switch ── 10.0.0.1 R              │
//!         10.0.0.2                         │              │
//!         m0 10.0.9.2 ─────────────────────│──────────────┘
//!                                          W 10.0.2.2
//! ```
//! IPv6 mirrors IPv4: 10.0.X.Y/24 is fd00:X::Y/64, with X and Y below 10, where decimal and hexadecimal agree.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use portcullis::drill::namespace::Namespace;
use portcullis::model::names::InterfaceName;
use portcullis::model::object::Family;

use super::{World, ip, ip6, sysctl, wait_for_dad};

/// A host with one uplink `u0` and a router behind it, where no more is needed.
pub fn one_uplink(world: World) -> Namespace {
    let (here, router) = (world.namespace("h"), world.namespace("r"));
    ip(
        &here,
        "link add name u0 type veth peer name v0 netns r
         link set dev u0 up
         addr add 10.0.0.2/24 brd + dev u0
         addr add fd00:0::2/64 dev u0",
    );
    ip(
        &router,
        "link set dev v0 up\naddr add 10.0.0.1/24 dev v0\naddr add fd00:0::1/64 dev v0 nodad",
    );
    wait_for_dad(&here);
    ip(&here, "route add default via 10.0.0.1\nroute add default via fd00:0::1");
    here
}

/// A host with its main link and addresses.
#[derive(Debug)]
pub struct Node {
    /// Where it lives.
    pub namespace: Namespace,
    /// The link that its addresses are on.
    pub link: InterfaceName,
    /// Its address.
    pub v4: Ipv4Addr,
    /// Its address.
    pub v6: Ipv6Addr,
}

impl Node {
    /// Its address of a family.
    pub fn address(&self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// A port at its address of a family.
    pub fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(family), port)
    }
}

/// A whole network.
#[derive(Debug)]
pub struct Topology {
    /// Its proof is that of the test's thread.
    pub world: World,
    /// The host or gateway that is cut: namespace `h` or `g`, link `u0`.
    pub subject: Node,
    /// The same, by its management link `m0`.
    pub subject_m0: Node,
    /// An on-link neighbour on the subject's uplink.
    pub neighbour: Node,
    /// The router behind the uplink.
    pub router: Node,
    /// The management host, behind the router.
    pub management: Node,
    /// The same, by its direct link to the subject's `m0`.
    pub management_m0: Node,
    /// Everybody else.
    pub world_host: Node,
    /// The host behind a gateway's `i0`.
    pub inside: Option<Node>,
    /// Hosts behind a gateway's further zones, `it0` and `ot0`.
    pub zones: Vec<Node>,
    /// Hosts on the ports `x0` and `y0` of the subject's bridge `b9`.
    pub bridged: Option<[Node; 2]>,
    switch: Namespace,
}

impl Topology {
    /// A host: one uplink `u0`, a second link `m0`, static addresses, default routes of both families by the router.
    pub fn host(world: World) -> Self {
        let net = Self::build(world, "h");
        net.wait();
        net
    }

    /// A gateway: as the host, with a host behind `i0`; forwards both families.
    pub fn gateway(world: World) -> Self {
        let net = Self::gateway_without_waiting(world);
        net.wait();
        net
    }

    /// A gateway with two further zones, `it0` and `ot0`.
    pub fn gateway_with_zones(world: World) -> Self {
        let mut net = Self::gateway_without_waiting(world);
        for (name, link, number) in [("it", "it0", 6), ("ot", "ot0", 7)] {
            let zone = net.zone(name, link, number);
            net.zones.push(zone);
        }
        net.wait();
        net
    }

    /// A host with a bridge between two more hosts.
    pub fn bridge(world: World) -> Self {
        let mut net = Self::build(world, "h");
        ip(net.at(), "link add name b9 type bridge\nlink set dev b9 up");
        let ports = [("x", "x0", 1), ("y", "y0", 2)];
        net.bridged = Some(ports.map(|(name, port, number)| {
            let host = peer(world, name);
            cable(net.at(), port, &host, "u0");
            ip(net.at(), &format!("link set dev {port} master b9"));
            address(&host, "u0", 8, number);
            node(host, "u0", 8, number)
        }));
        net.wait();
        net
    }

    /// All hosts, those with two links twice.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let always = [
            &self.subject,
            &self.subject_m0,
            &self.neighbour,
            &self.router,
            &self.management,
            &self.management_m0,
            &self.world_host,
        ];
        let bridged = self.bridged.iter().flatten();
        always.into_iter().chain(&self.inside).chain(&self.zones).chain(bridged)
    }

    fn wait(&self) {
        self.nodes().for_each(|node| wait_for_dad(&node.namespace));
    }

    /// A further link `nw0` from the subject to its neighbour, as one that appears while a cut is in force.
    pub fn add_link_to_neighbour(&self) -> [Node; 2] {
        let near = &self.neighbour.namespace;
        cable(self.at(), "nw0", near, "nw0");
        address(self.at(), "nw0", 4, 1);
        address(near, "nw0", 4, 2);
        wait_for_dad(self.at());
        wait_for_dad(near);
        [
            node(self.at().try_clone().unwrap(), "nw0", 4, 1),
            node(near.try_clone().unwrap(), "nw0", 4, 2),
        ]
    }

    /// The subject's namespace.
    pub fn at(&self) -> &Namespace {
        &self.subject.namespace
    }

    fn gateway_without_waiting(world: World) -> Self {
        let mut net = Self::build(world, "g");
        forward(net.at());
        net.inside = Some(net.zone("l", "i0", 5));
        net
    }

    fn build(world: World, subject: &str) -> Self {
        let at = world.namespace(subject);
        let switch = peer(world, "s");
        ip(&switch, "link add br0 type bridge\nlink set br0 up");
        plug(&at, "u0", &switch, subject);
        address(&at, "u0", 0, 2);
        let router = router(world, &switch);
        let neighbour = peer(world, "n");
        plug(&neighbour, "u0", &switch, "n");
        address(&neighbour, "u0", 0, 3);
        default_routes(&at, 0);
        default_routes(&neighbour, 0);
        let management = behind(world, &router, "m", 1);
        let world_host = behind(world, &router, "w", 2);
        cable(&at, "m0", &management.namespace, "h0");
        address(&at, "m0", 9, 2);
        address(&management.namespace, "h0", 9, 1);
        Self {
            world,
            subject_m0: node(at.try_clone().unwrap(), "m0", 9, 2),
            subject: node(at, "u0", 0, 2),
            neighbour: node(neighbour, "u0", 0, 3),
            router: node(router, "u0", 0, 1),
            management_m0: node(management.namespace.try_clone().unwrap(), "h0", 9, 1),
            management,
            world_host,
            inside: None,
            zones: Vec::new(),
            bridged: None,
            switch,
        }
    }

    /// A host behind the subject, to which the router and the neighbour know the way.
    fn zone(&self, name: &str, link: &str, number: u8) -> Node {
        let host = peer(self.world, name);
        cable(self.at(), link, &host, "u0");
        address(self.at(), link, number, 1);
        address(&host, "u0", number, 2);
        default_routes(&host, number);
        for knows in [&self.router, &self.neighbour] {
            ip(
                &knows.namespace,
                &format!("route add 10.0.{number}.0/24 via 10.0.0.2\nroute add fd00:{number}::/64 via fd00:0::2"),
            );
        }
        node(host, "u0", number, 2)
    }
}

fn node(namespace: Namespace, link: &str, net: u8, host: u8) -> Node {
    Node {
        namespace,
        link: link.parse().unwrap(),
        v4: Ipv4Addr::new(10, 0, net, host),
        v6: Ipv6Addr::new(0xfd00, net.into(), 0, 0, 0, 0, 0, host.into()),
    }
}

/// A namespace whose addresses need no detection: only the subject is to be like a real host in every respect.
fn peer(world: World, name: &str) -> Namespace {
    let namespace = world.namespace(name);
    sysctl(&namespace, "net.ipv6.conf.default.accept_dad", "0");
    namespace
}

fn router(world: World, switch: &Namespace) -> Namespace {
    let router = peer(world, "r");
    forward(&router);
    plug(&router, "u0", switch, "r");
    address(&router, "u0", 0, 1);
    router
}

/// A host behind the router.
fn behind(world: World, router: &Namespace, name: &str, number: u8) -> Node {
    let host = peer(world, name);
    let link = format!("r{name}0");
    cable(router, &link, &host, "u0");
    address(router, &link, number, 1);
    address(&host, "u0", number, 2);
    default_routes(&host, number);
    node(host, "u0", number, 2)
}

fn forward(namespace: &Namespace) {
    sysctl(namespace, "net.ipv4.ip_forward", "1");
    sysctl(namespace, "net.ipv6.conf.all.forwarding", "1");
}

/// A cable between two links, both up.
fn cable(here: &Namespace, link: &str, there: &Namespace, far: &str) {
    let there_name = there.name();
    ip(
        here,
        &format!("link add name {link} type veth peer name {far} netns {there_name}\nlink set dev {link} up"),
    );
    ip(there, &format!("link set dev {far} up"));
}

/// A cable to a port of the switch.
fn plug(here: &Namespace, link: &str, switch: &Namespace, of: &str) {
    let port = format!("p{of}0");
    cable(here, link, switch, &port);
    ip(switch, &format!("link set dev {port} master br0"));
}

fn address(namespace: &Namespace, link: &str, net: u8, host: u8) {
    ip(
        namespace,
        &format!("addr add 10.0.{net}.{host}/24 brd + dev {link}\naddr add fd00:{net}::{host}/64 dev {link}"),
    );
}

fn default_routes(namespace: &Namespace, net: u8) {
    ip(
        namespace,
        &format!("route add default via 10.0.{net}.1\nroute add default via fd00:{net}::1"),
    );
}

/// Adds everything to a host of [`Topology`] that a restore finds hard.
pub fn nasty(namespace: &Namespace) {
    ip(namespace, NASTY_LINKS);
    // Else both links answer ARP for u0's addresses, and what comes in over the wrong one reaches no socket bound to u0.
    sysctl(namespace, "net.ipv4.conf.mv0.arp_ignore", "1");
    ip(namespace, NASTY_ADDRESSES);
    wait_for_dad(namespace);
    ip(namespace, NASTY_ROUTES_V4);
    ip(namespace, NASTY_ROUTES_V6);
    ip(namespace, NASTY_RULES_V4);
    ip6(namespace, NASTY_RULES_V6);
    wait_for_dad(namespace);
}

const NASTY_LINKS: &str = "\
    link add mv0 link u0 type macvlan mode bridge
    link set mv0 up
    link add p0 type veth peer name p1
    link add b0 type bridge
    link set p0 master b0
    link set dev p0 up
    link set dev p1 up
    link set dev b0 up
    link set dev m0 group 77
    link set dev m0 alias management
    link property add dev m0 altname mgmt-link-with-a-long-name";

const NASTY_ADDRESSES: &str = "\
    addr add 10.0.0.22/24 brd + dev u0
    addr add 192.168.77.1/24 brd + dev u0 label u0:x noprefixroute
    addr add 10.0.40.1/24 dev b0
    addr add 10.0.41.1/32 peer 10.0.41.2/32 dev mv0
    addr add fd00:a::1/64 dev u0
    addr add fd00:b::1/64 dev u0 noprefixroute
    addr add fd00:c::1/64 dev u0 preferred_lft 0 valid_lft forever
    addr add fd00:40::1/64 dev b0
    addr add fd00:41::1/128 dev mv0 nodad
    neigh add 10.0.0.77 lladdr 02:00:00:00:00:77 dev u0 nud permanent
    neigh add fd00::77 lladdr 02:00:00:00:00:77 dev u0 nud permanent
    neigh add fd00:9::77 lladdr 02:00:00:00:00:78 dev m0 nud permanent protocol 66
    neigh add proxy 10.0.0.88 dev u0
    neigh add proxy fd00::88 dev u0";

/// Takes the IPv4 routes with legs over `u0` and `m0` away from a host of [`nasty`], for which a seal of `u0` is refused.
pub const ONE_LEGGED: &str = "route del 10.23.0.0/16\nroute del 10.26.0.0/16";

const NASTY_ROUTES_V4: &str = "\
    route add 10.20.0.0/16 via 10.0.0.3 dev u0 metric 77 mtu 1400 advmss 1300 src 10.0.0.22 proto 66
    route add 10.20.0.0/16 via 10.0.0.1 dev u0 metric 78 tos 8
    route add 10.21.0.0/16 via 10.99.0.1 dev u0 onlink
    route add 10.22.0.0/16 dev u0 scope link table 1234 metric 5
    route add default via 10.0.0.3 dev u0 table 100
    route add 10.23.0.0/16 proto 66 nexthop via 10.0.0.1 dev u0 weight 2 nexthop via 10.0.9.1 dev m0 weight 1
    route add blackhole 10.24.0.0/16 proto 66
    route add unreachable 10.25.0.0/16 metric 9
    route add prohibit 10.25.1.0/24 table 100
    route add throw 10.25.2.0/24 table 100
    nexthop add id 11 via 10.0.0.1 dev u0 proto 66
    nexthop add id 12 via 10.0.9.1 dev m0
    nexthop add id 13 group 11,2/12,1
    nexthop add id 14 blackhole
    route add 10.26.0.0/16 nhid 13 proto 66
    route add 10.27.0.0/16 nhid 14
    route add 10.28.0.0/16 via inet6 fd00::1 dev u0";

const NASTY_ROUTES_V6: &str = "\
    route add fd00:20::/64 via fd00::3 dev u0 metric 77 mtu 1400 advmss 1300 src fd00::2 proto 66
    route add fd00:22::/64 dev u0 table 1234 metric 5
    route add default via fd00::3 dev u0 table 100
    route add fd00:23::/64 proto 66 nexthop via fd00::1 dev u0 weight 2 nexthop via fd00:9::1 dev m0 weight 1
    route add blackhole fd00:24::/64 proto 66
    route add unreachable fd00:25::/64 metric 9
    nexthop add id 21 via fd00::1 dev u0 proto 66
    nexthop add id 22 via fd00:9::1 dev m0
    nexthop add id 23 group 21/22
    route add fd00:26::/64 nhid 23 proto 66
    route add fd00:27::/64 nhid 21";

/// None of these changes the way of the matrix's traffic: the tables they lead to hold no route for it.
const NASTY_RULES_V4: &str = "\
    rule add pref 1000 fwmark 0x10/0xff lookup 100
    rule add pref 1001 iif m0 lookup 1234 protocol 66
    rule add pref 1002 uidrange 0-0 lookup 1234
    rule add pref 1003 ipproto tcp dport 8080-8090 lookup 1234 protocol 66
    rule add pref 1004 from 10.20.0.0/16 to 10.22.0.0/16 prohibit
    rule add pref 1005 not from 10.0.0.0/8 lookup 1234 suppress_prefixlength 0";

const NASTY_RULES_V6: &str = "\
    rule add pref 1000 fwmark 0x10/0xff lookup 100
    rule add pref 1001 iif m0 lookup 1234 protocol 66
    rule add pref 1002 uidrange 0-0 lookup 1234
    rule add pref 1003 ipproto udp sport 8080 lookup 1234
    rule add pref 1004 from fd00:20::/64 to fd00:22::/64 unreachable";
