//! A host with one of everything that is hard to put back.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use portcullis::drill::namespace::Namespace;

use crate::world::{run_line, script, sysctl, try_line};

const HOST: &str = "
    ip link set lo up
    ip link add ua0 type veth peer name ub0
    ip link add uc0 type veth peer name ud0
    ip link add mv0 link ua0 type macvlan mode bridge
    ip link add br0 type bridge
    ip link set ud0 master br0
    ip link property add dev uc0 altname an-alternative-name-of-uc0
    ip link set ua0 up
    ip link set ub0 up
    ip link set uc0 up
    ip link set ud0 up
    ip link set mv0 up
    ip link set br0 up
    ip link set uc0 group 77

    ip addr add 10.1.0.2/24 brd + dev ua0 label ua0:main
    ip addr add 10.1.0.3/24 dev ua0
    ip addr add 10.9.0.1 peer 10.9.0.2/32 dev ua0
    ip addr add 10.2.0.2/24 dev uc0 noprefixroute
    ip addr add 10.3.0.2/24 dev br0 valid_lft 5000 preferred_lft 4000
    ip addr add 10.4.0.2/24 dev mv0 metric 321
    ip addr add 2001:db8:1::2/64 dev ua0
    ip addr add 2001:db8:1::3/64 dev ua0 preferred_lft 0
    ip addr add 2001:db8:2::2/64 dev uc0 noprefixroute
    ip addr add 2001:db8:3::2/64 dev br0 valid_lft 5000 preferred_lft 4000
    ip addr add 2001:db8:9::1 peer 2001:db8:9::2/128 dev uc0
    ip route add 10.2.0.0/24 dev uc0 src 10.2.0.2

    ip route add default via 10.1.0.1 dev ua0 proto static metric 50
    ip route add default via 10.2.0.1 dev uc0 proto dhcp metric 600
    ip route add 10.20.0.0/16 via 10.1.0.1 mtu 1400 advmss 1300 initcwnd 20 quickack 1 congctl reno
    ip route add 10.52.0.0/16 via 10.1.0.1 rto_min 300ms features ecn hoplimit 9 fastopen_no_cookie 1
    ip route add 10.21.0.0/16 via 10.1.0.1 mtu lock 1400 table 100 proto 66 metric 7 src 10.1.0.3
    ip route add 10.22.0.0/16 via 192.0.2.1 dev ua0 onlink table 1234
    ip route add 10.23.0.0/16 nexthop via 10.1.0.1 dev ua0 weight 3 nexthop via 10.2.0.1 dev uc0 weight 5
    ip route add 10.24.0.0/16 via inet6 fe80::1 dev ua0
    ip route add 10.25.0.0/16 via 10.1.0.1 realms 3/5
    ip route add 10.26.0.0/16 tos 0x10 via 10.1.0.1
    ip route add 10.27.0.0/16 dev ua0 scope link
    ip route append 10.27.0.0/16 dev uc0 scope link
    ip route append 10.27.0.0/16 dev br0 scope link
    ip route add local 10.61.0.5 dev ua0
    ip route add blackhole 10.30.0.0/16
    ip route add unreachable 10.31.0.0/16 metric 9
    ip route add prohibit 10.32.0.0/16 table 100
    ip route add throw 10.33.0.0/16 table 100

    ip -6 route add default via fe80::1 dev ua0 proto static metric 50 pref high
    ip -6 route add 2001:db8:20::/48 via 2001:db8:1::1 mtu 1400 advmss 1300 proto 66
    ip -6 route add 2001:db8:21::/48 via 2001:db8:1::1 expires 3000 table 1234
    ip -6 route add 2001:db8:22::/48 nexthop via 2001:db8:1::1 dev ua0 weight 3 nexthop via fe80::2 dev uc0 weight 5
    ip -6 route add 2001:db8:23::/48 via 2001:db8:1::1 src 2001:db8:1::2 metric 5
    ip -6 route add 2001:db8:24::/48 via 2001:db8:77::1 dev ua0 onlink
    ip -6 route add 2001:db8:2::/64 dev uc0 metric 300
    ip -6 route add blackhole 2001:db8:30::/48
    ip -6 route add unreachable 2001:db8:31::/48 table 100 metric 9
    ip -6 route add prohibit 2001:db8:32::/48
    ip -6 route add throw 2001:db8:33::/48 table 100

    ip nexthop add id 1 via 10.1.0.1 dev ua0
    ip nexthop add id 2 via 10.2.0.1 dev uc0 onlink proto 66
    ip nexthop add id 3 group 1,4/2,8
    ip nexthop add id 4 blackhole
    ip nexthop add id 5 via fe80::5 dev ua0
    ip -6 nexthop add id 6 blackhole
    ip nexthop add id 7 group 1/2 type resilient buckets 32 idle_timer 60 unbalanced_timer 300
    ip route add 10.40.0.0/16 nhid 1
    ip route add 10.41.0.0/16 nhid 3 metric 4
    ip route add 10.42.0.0/16 nhid 4
    ip route add 10.43.0.0/16 nhid 7
    ip route add 10.44.0.0/16 nhid 5
    ip -6 route add 2001:db8:40::/48 nhid 5
    ip -6 route add 2001:db8:41::/48 nhid 6

    ip rule add pref 100 from 10.1.0.0/16 to 10.2.0.0/16 iif ua0 lookup 100
    ip rule add pref 101 fwmark 0x10/0xff lookup 1234 proto static
    ip rule add pref 102 uidrange 0-0 ipproto tcp dport 80-90 lookup main
    ip rule add pref 103 not from 10.7.0.0/16 oif uc0 lookup 100
    ip rule add pref 104 tos 0x10 ipproto udp sport 53 blackhole
    ip rule add pref 105 lookup main suppress_prefixlength 0
    ip rule add pref 106 lookup main suppress_ifgroup 77
    ip rule add pref 107 prohibit
    ip rule add pref 107 iif ua0 unreachable
    ip rule add pref 90 goto 107
    ip rule add pref 91 nop
    ip rule add pref 92 fwmark 0/1 lookup 100
    ip -6 rule add pref 100 from 2001:db8::/32 iif gone0 lookup 100
    ip -6 rule add pref 101 fwmark 0x10 ipproto tcp dport 443 prohibit
    ip -6 rule add pref 102 lookup main suppress_prefixlength 0 proto 99

    ip neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev ua0 nud permanent
    ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev ua0 nud noarp
    ip neigh add 2001:db8:1::1 lladdr 02:00:00:00:00:06 dev ua0 nud permanent router proto 66
    ip neigh add proxy 10.1.0.77 dev ua0
    ip neigh add proxy 2001:db8:1::77 dev ua0
";

/// What not every kernel or iproute2 has: there if it can be.
const OPTIONAL: [&str; 8] = [
    "ip -6 route add 2001:db8:50::/48 encap seg6 mode encap segs 2001:db8:5::1,2001:db8:5::2 dev ua0",
    "ip route add 10.50.0.0/16 encap seg6 mode encap segs 2001:db8:5::1 dev ua0",
    "ip -6 route add 2001:db8:51::/48 from 2001:db8:52::/48 dev ua0",
    "ip route add 10.51.0.0/16 encap ip id 30 dst 10.1.0.9 dev ua0",
    "ip route add multicast 239.0.0.0/8 dev ua0",
    "ip nexthop add id 8 via 10.1.0.50 fdb",
    "ip nexthop add id 9 via 2001:db8:1::1 dev ua0 encap seg6 mode encap segs 2001:db8:5::1",
    "ip -6 route add 2001:db8:53::/48 nhid 9",
];

/// Builds the host in this namespace.
pub fn build(here: &Namespace) {
    for every in ["all", "default"] {
        sysctl(here, &format!("net.ipv6.conf.{every}.accept_dad"), "0");
    }
    script(here, HOST);
    for line in OPTIONAL {
        if let Err(why) = try_line(here, line) {
            assert!(!why.is_empty(), "{line}: refused without a word");
        }
    }
    // An interface whose name is not UTF-8, and a rule that names it.
    let bad = OsStr::from_bytes(b"\xff\xfebad");
    let ip = |words: &[&OsStr]| {
        assert!(
            Command::new("ip").args(words).status().expect("ip runs").success(),
            "{words:?}"
        )
    };
    let of = |words: &'static str| words.split(' ').map(OsStr::new).collect::<Vec<_>>();
    let link = [of("link add"), vec![bad], of("type ifb")].concat();
    let rule = [of("rule add pref 120 iif"), vec![bad], of("lookup 100")].concat();
    ip(&link);
    ip(&rule);
}

/// Everything as `ip -d` prints it, without what counts by itself (all timers of a bridge, under `ip -d addr`).
pub fn text(here: &Namespace) -> Vec<String> {
    let parts = [
        "ip addr",
        "ip -d -4 route show table all",
        "ip -d -6 route show table all",
        "ip -d -4 rule",
        "ip -d -6 rule",
        "ip -d nexthop",
        "ip -d neigh show nud permanent",
        "ip -d neigh show proxy",
    ];
    let steady = |line: &str| {
        let mut skip = false;
        let words = line.split(' ').filter(|word| {
            let counts = std::mem::replace(
                &mut skip,
                matches!(*word, "expires" | "valid_lft" | "preferred_lft" | "unbalanced_time"),
            );
            !counts || *word == "forever"
        });
        words.collect::<Vec<_>>().join(" ")
    };
    parts
        .iter()
        .flat_map(|part| run_line(here, part).lines().map(steady).collect::<Vec<_>>())
        .collect()
}
