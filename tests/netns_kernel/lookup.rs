//! Where a packet would go: the real kernel's answers, and that the model kernel's are the same.

use std::net::IpAddr;

use portcullis::kernel::Kernel as _;
use portcullis::kernel::netlink::Netlink;
use portcullis::model::effect;
use portcullis::model::lookup::{Query, Way};

use crate::world::{inside, script, sysctl};
use crate::{addresses_have_settled, snapshot, wait_for};

const HOST: &str = "
    ip link set lo up
    ip link add name a0 type veth peer name b0
    ip link set a0 up
    ip link set b0 up
    ip addr add 10.0.0.2/24 dev a0
    ip addr add fd00::2/64 dev a0
    ip route add default via 10.0.0.1
    ip -6 route add default via fd00::1
    ip route add blackhole 10.66.0.0/16
    ip -6 route add unreachable fd66::/64
    ip rule add pref 100 to 10.9.0.0/16 ipproto tcp dport 443 prohibit
    ip -6 rule add pref 100 to fd09::/64 ipproto tcp dport 443 prohibit
    ip rule add pref 101 iif a0 to 10.8.0.0/16 blackhole
    ip -6 rule add pref 101 iif a0 to fd08::/64 blackhole";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn tcp(to: &str, port: u16) -> Query {
    Query {
        protocol: Some(6),
        ports: Some((40_000, port)),
        ..Query::to(ip(to))
    }
}

fn arrives(from: &str, to: &str, over: u32) -> Query {
    Query {
        source: Some(ip(from)),
        input: Some(over),
        ..Query::to(ip(to))
    }
}

#[test]
fn the_way_of_a_packet_is_the_kernels_own_answer_and_the_model_agrees() {
    let test = "lookup::the_way_of_a_packet_is_the_kernels_own_answer_and_the_model_agrees";
    inside(test, |world| {
        let here = world.own();
        script(&here, HOST);
        let mut kernel = Netlink::open().expect("sockets");
        wait_for(&mut kernel, "addresses settle", addresses_have_settled);
        sysctl(&here, "net.ipv4.ip_forward", "1");
        sysctl(&here, "net.ipv6.conf.all.forwarding", "1");
        let state = snapshot(&mut kernel);
        let link = state
            .links
            .iter()
            .find(|l| l.name.to_string() == "a0")
            .expect("made above")
            .index;
        let out = |own: &str| Way::Out {
            link,
            source: Some(ip(own)),
        };
        let table = [
            (Query::to(ip("10.9.0.1")), out("10.0.0.2")),
            (Query::to(ip("fd09::1")), out("fd00::2")),
            (Query::to(ip("10.0.0.2")), Way::Local),
            (Query::to(ip("fd00::2")), Way::Local),
            (Query::to(ip("10.66.0.1")), Way::Nowhere),
            (Query::to(ip("fd66::1")), Way::Nowhere),
            (tcp("10.9.0.1", 22), out("10.0.0.2")),
            (tcp("fd09::1", 22), out("fd00::2")),
            (tcp("10.9.0.1", 443), Way::Nowhere),
            (tcp("fd09::1", 443), Way::Nowhere),
            (arrives("10.0.0.9", "10.0.0.2", link), Way::Local),
            (arrives("fd00::9", "fd00::2", link), Way::Local),
            (arrives("10.0.0.9", "10.8.0.1", link), Way::Nowhere),
            (arrives("fd00::9", "fd08::1", link), Way::Nowhere),
        ];
        for (query, expected) in table {
            assert_eq!(kernel.way(&query).expect("an answer"), expected, "{query:?}");
            assert_eq!(effect::way(&state, &query), expected, "the model: {query:?}");
        }
        let forwarded = arrives("10.0.0.9", "10.7.0.1", link);
        let way = kernel.way(&forwarded).expect("an answer");
        assert!(matches!(way, Way::Out { link: over, .. } if over == link), "{way:?}");
        assert_eq!(snapshot(&mut kernel), state, "a question changes nothing");
    });
}
