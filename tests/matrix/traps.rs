//! What has gone wrong with cuts before, each on the real kernel.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use portcullis::model::object::Family;
use portcullis::model::plan::Traffic;

use crate::binaries::Daemon;
use crate::emergency::Cut;
use crate::lifelines::{Line, Protocol};
use crate::methods::Draft;
use crate::world::matrix::{Matrix, PATIENT, SHORT};
use crate::world::state::{assert_same, state};
use crate::world::topology::{Topology, nasty};
use crate::world::{self, ip, ip6, run, sysctl, wait_until};

const WHOLE: &str = "interfaces = [\"*\"]";
const UPLINK: &str = "interfaces = [\"u0\"]";

fn start<'n>(net: &'n Topology, drafts: &[(&'n str, Draft)]) -> Daemon<'n> {
    let policies: Vec<_> = drafts.iter().map(|(name, draft)| (*name, draft.text(name))).collect();
    Daemon::start(net.at(), &policies)
}

fn ssh(net: &Topology) -> Line<'_> {
    Line {
        from: &net.world_host,
        to: &net.subject,
        port: 22,
        by: Protocol::Tcp,
    }
}

#[test]
fn a_lifeline_outlives_its_neighbours_where_sources_are_checked() {
    world::inside(
        "traps::a_lifeline_outlives_its_neighbours_where_sources_are_checked",
        |world| {
            let net = Topology::gateway(world);
            let drafts = [
                ("seal-all", Draft::new("\"seal\"", WHOLE).with_ssh()),
                ("seal-u0", Draft::new("\"seal\"", UPLINK).with_ssh()),
            ];
            for mode in ["1", "2"] {
                for scope in ["all", "u0"] {
                    sysctl(net.at(), &format!("net.ipv4.conf.{scope}.rp_filter"), mode);
                }
                let daemon = start(&net, &drafts);
                for (name, _) in &drafts {
                    let cut = Cut::declare(&net, &daemon, name, &[ssh(&net)]);
                    cut.outlives_the_neighbours();
                    cut.revert().exactly();
                }
            }
        },
    );
}

#[test]
fn a_lifeline_finds_its_path_mtu() {
    world::inside("traps::a_lifeline_finds_its_path_mtu", |world| {
        let net = Topology::gateway(world);
        ip(&net.router.namespace, "link set dev rw0 mtu 1300");
        let drafts = [
            ("seal", Draft::new("\"seal\"", WHOLE).with_ssh()),
            ("gate", Draft::new("\"gate\"", WHOLE).with_ssh()),
            ("both", Draft::new("\"gate\", \"seal\"", WHOLE).with_ssh()),
        ];
        for checked in ["0", "1"] {
            sysctl(net.at(), "net.ipv4.conf.all.rp_filter", checked);
            let daemon = start(&net, &drafts);
            for (name, _) in &drafts {
                // What was learnt before is forgotten.
                ip(net.at(), "route flush cache");
                ip6(net.at(), "route flush cache");
                let cut = Cut::declare(&net, &daemon, name, &[]);
                for family in Family::BOTH {
                    moves_much(&net, net.subject.at(family, 22));
                }
                cut.revert();
                let learnt = run(net.at(), "ip", &["route", "get", "10.0.2.2"]);
                assert!(
                    learnt.contains("mtu 1300"),
                    "the path was too wide to show anything: {learnt}"
                );
            }
        }
    });
}

/// The subject sends 2 MB to a host that connects from behind the narrow hop.
fn moves_much(net: &Topology, at: SocketAddr) {
    const BYTES: usize = 2_000_000;
    let listener = net.at().run(|_| TcpListener::bind(at).unwrap()).unwrap();
    let sending = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_write_timeout(Some(PATIENT)).unwrap();
        stream.write_all(&vec![7; BYTES]).unwrap();
    });
    let connect = || TcpStream::connect_timeout(&at, PATIENT).unwrap();
    let mut stream = net.world_host.namespace.run(|_| connect()).unwrap();
    stream.set_read_timeout(Some(PATIENT)).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    sending.join().unwrap();
    assert_eq!(got.len(), BYTES, "over {at}");
}

#[test]
fn others_add_gateway_routes_and_nexthops_while_sealed() {
    world::inside("traps::others_add_gateway_routes_and_nexthops_while_sealed", |world| {
        let net = Topology::gateway(world);
        let drafts = [
            ("bare", Draft::new("\"seal\"", WHOLE)),
            ("kept", Draft::new("\"seal\"", WHOLE).with_ssh()),
            ("u0", Draft::new("\"seal\"", UPLINK)),
        ];
        let daemon = start(&net, &drafts);
        for (name, _) in &drafts {
            let cut = Cut::declare(&net, &daemon, name, &[]);
            ip(
                net.at(),
                "route add 10.66.0.0/16 via 10.0.0.1
                 route add fd00:66::/64 via fd00:0::1
                 nexthop add id 66 via 10.0.0.1 dev u0
                 nexthop add id 67 via fd00:0::1 dev u0
                 route add 10.67.0.0/16 nhid 66",
            );
            cut.wait_in_force();
            let reverted = cut.revert();
            assert!(
                reverted.after.contains("10.67.0.0/16 nhid 66"),
                "what others added stays"
            );
            ip(
                net.at(),
                "route del 10.66.0.0/16
                 route del fd00:66::/64
                 route del 10.67.0.0/16
                 nexthop del id 66
                 nexthop del id 67",
            );
            assert_same(&reverted.before, &state(net.at()));
        }
    });
}

#[test]
fn a_link_that_is_renamed_stays_cut_and_keeps_its_lifeline() {
    world::inside(
        "traps::a_link_that_is_renamed_stays_cut_and_keeps_its_lifeline",
        |world| {
            let net = Topology::gateway(world);
            nasty(net.at());
            ip(net.at(), world::topology::ONE_LEGGED);
            // The kernel numbers the labels of addresses when a link is renamed for the first time (`inetdev_changename()`).
            ip(net.at(), "link set dev u0 name new0\nlink set dev new0 name u0");
            let drafts = [
                ("gate", Draft::new("\"gate\"", UPLINK).with_ssh()),
                (
                    "seal",
                    Draft::new("\"seal\"", "interfaces = [\"u0\", \"mv0\"]").with_ssh(),
                ),
                ("both", Draft::new("\"gate\", \"seal\"", UPLINK).with_ssh()),
            ];
            let daemon = start(&net, &drafts);
            let matrix = Matrix::open(&net);
            matrix.control();
            for (name, _) in &drafts {
                let cut = Cut::declare(&net, &daemon, name, &[ssh(&net)]);
                ip(net.at(), "link set dev u0 name new0");
                cut.wait_in_force();
                cut.wait_for_lifelines(100);
                let forwarded = |traffic| matches!(traffic, Some(Traffic::ForwardedV4 | Traffic::ForwardedV6));
                let seen = matrix.run_those(SHORT, forwarded);
                for traffic in [Traffic::ForwardedV4, Traffic::ForwardedV6] {
                    assert_eq!(
                        seen.fate(traffic),
                        Some(portcullis::model::plan::Fate::Stopped),
                        "{name}\n{seen}"
                    );
                }
                ip(net.at(), "link set dev new0 name u0");
                cut.wait_in_force();
                cut.keeps_its_promise(&matrix);
                cut.revert().exactly();
                matrix.control();
            }
        },
    );
}

#[test]
fn established_connections_stop_at_once() {
    world::inside("traps::established_connections_stop_at_once", |world| {
        let net = Topology::gateway(world);
        let drafts = [
            ("gate", Draft::new("\"gate\"", UPLINK)),
            ("seal-all", Draft::new("\"seal\"", WHOLE)),
            ("seal-u0", Draft::new("\"seal\"", UPLINK)),
        ];
        let daemon = start(&net, &drafts);
        for (name, _) in &drafts {
            for family in Family::BOTH {
                stream_stops(&net, &daemon, name, net.world_host.at(family, 7070));
            }
        }
    });
}

/// The host behind the gateway sends without a pause; what arrives outside stops.
fn stream_stops(net: &Topology, daemon: &Daemon<'_>, policy: &str, at: SocketAddr) {
    let listener = net
        .world_host
        .namespace
        .run(|_| TcpListener::bind(at).unwrap())
        .unwrap();
    let inside = &net.inside.as_ref().unwrap().namespace;
    let mut out = inside
        .run(|_| TcpStream::connect_timeout(&at, PATIENT).unwrap())
        .unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    out.set_nonblocking(true).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut pump = || {
        // Full, or empty: the next time.
        let sent = out.write(&[7; 8192]);
        assert!(sent.is_ok() || sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
        stream.read(&mut [0; 65536]).unwrap_or(0)
    };
    wait_until("it flows", PATIENT, || pump() > 0);
    let cut = Cut::declare(net, daemon, policy, &[]);
    wait_until("what was on its way has arrived", PATIENT, || pump() == 0);
    let begun = std::time::Instant::now();
    wait_until("some time has passed", PATIENT, || {
        assert_eq!(pump(), 0, "{policy} lets an established connection to {at} go on");
        begun.elapsed() > Duration::from_millis(500)
    });
    cut.revert().exactly();
    wait_until("it flows again", PATIENT, || pump() > 0);
}
