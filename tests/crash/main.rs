//! `kill -9` of the daemon anywhere, and a state directory in any condition: every cut ends at its deadline.
//!
//! A kill is triggered by what can be seen from outside: the n-th change of the audit file, of the journal, of the
//! kernel. A few microseconds more or less come from a seed, which is printed and can be given as `PORTCULLIS_TEST_SEED`.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code"
)]

mod boot;
#[path = "../daemon/mod.rs"]
mod daemon;
mod deaths;
mod guardian;
mod offline;
mod points;
mod state_directory;
#[path = "../world/mod.rs"]
mod world;

use portcullis::drill::namespace::Namespace;

use daemon::{Home, policy};
use world::{World, ip, wait_for_dad};

/// Policies of every method.
fn home() -> Home {
    Home::with(&[
        ("additive.toml", &policy("additive", "\"gate\", \"seal\"", "closed")),
        ("routes.toml", &policy("routes", "\"routes\"", "closed")),
        ("link.toml", &policy("link", "\"link\"", "closed")),
        ("open.toml", &policy("open", "\"gate\", \"seal\"", "open")),
    ])
}

/// A host with an uplink `u0` and a management link `m0`, dual stack; `number` tells several in one world apart.
fn host(world: World, number: usize) -> Namespace {
    let (here, there) = (world.namespace(&format!("h{number}")), format!("r{number}"));
    let router = world.namespace(&there);
    world::sysctl(&router, "net.ipv6.conf.default.accept_dad", "0");
    for (link, far, net) in [("u0", "v0", 0), ("m0", "w0", 9)] {
        ip(
            &here,
            &format!(
                "link add name {link} type veth peer name {far} netns {there}
                 link set dev {link} up
                 addr add 10.0.{net}.2/24 brd + dev {link}
                 addr add fd00:{net}::2/64 dev {link}"
            ),
        );
        ip(
            &router,
            &format!(
                "link set dev {far} up
                 addr add 10.0.{net}.1/24 brd + dev {far}
                 addr add fd00:{net}::1/64 dev {far}"
            ),
        );
    }
    wait_for_dad(&here);
    ip(&here, "route add default via 10.0.0.1\nroute add default via fd00:0::1");
    here
}
