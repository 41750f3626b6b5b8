//! A process with one thread enters a scratch world, as root and as nobody, and nothing outside changes.
//!
//! Without the test harness, which has several threads. As root it runs itself once more as nobody.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use portcullis::drill::links::{Builder, Detection, End};
use portcullis::drill::namespace::{Namespace, NamespaceId, NotInitial, Scratch, refuse_initial};
use portcullis::drill::probe::echo::Echo;
use portcullis::drill::probe::{Answer, Origin, icmp, tcp, udp};
use portcullis::model::names::InterfaceName;

const PATIENT: Duration = Duration::from_secs(10);
/// Set in the second run.
const AS_NOBODY: &str = "PORTCULLIS_TEST_AS_NOBODY";

fn main() {
    let root = nix::unistd::Uid::effective().is_root();
    if root && std::env::var_os(AS_NOBODY).is_none() {
        run_again_as_nobody();
    }
    let links = links_outside();
    let outside = NamespaceId::current().expect("/proc is mounted");
    assert!(
        refuse_initial(Some(outside)).is_err(),
        "before entering there is no proof"
    );
    let scratch = Scratch::enter().unwrap_or_else(|error| panic!("{error}: {error:?}, hint: {:?}", error.hint()));
    assert_ne!(NamespaceId::current().expect("/proc is mounted"), outside);
    assert!(
        nix::unistd::Uid::effective().is_root(),
        "root inside, whoever it was outside"
    );
    a_mount_is_not_seen_outside();
    peers_talk(scratch.proof());
    assert_eq!(links_outside(), links);
}

/// What the parent process, which stayed outside, has in its network namespace.
fn links_outside() -> String {
    let path = format!("/proc/{}/net/dev", nix::unistd::getppid());
    let text = std::fs::read_to_string(path).expect("the parent lives");
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned() + "\n")
        .collect()
}

fn run_again_as_nobody() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let copy = folder.path().join("scratch");
    let own = std::env::current_exe().expect("the path of this program");
    std::fs::copy(own, &copy).expect("a copy");
    for path in [folder.path(), &copy] {
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).expect("a mode");
    }
    let status = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--bounding-set=-all",
            "--",
        ])
        .arg(&copy)
        .env(AS_NOBODY, "1")
        .current_dir("/")
        .status()
        .expect("setpriv(1) of util-linux");
    assert!(status.success(), "as nobody: {status}");
}

fn a_mount_is_not_seen_outside() {
    mount(Some("tmpfs"), "/mnt", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a mount of our own");
    std::fs::write("/mnt/portcullis-scratch", "").expect("a file in it");
    let parent = nix::unistd::getppid();
    let (own, outside) = (mounts_on_mnt("self"), mounts_on_mnt(&parent.to_string()));
    assert_eq!(own, outside + 1);
}

fn mounts_on_mnt(process: &str) -> usize {
    let mounts = std::fs::read_to_string(format!("/proc/{process}/mounts")).expect("a list of mounts");
    mounts
        .lines()
        .filter(|line| line.split(' ').nth(1) == Some("/mnt"))
        .count()
}

fn peers_talk(proof: NotInitial) {
    let near = Namespace::new("near", proof).expect("a namespace");
    let far = Namespace::new("far", proof).expect("a namespace");
    let (u0, v0): (InterfaceName, InterfaceName) = ("u0".parse().expect("a name"), "v0".parse().expect("a name"));
    let build = |namespace: &Namespace, link: &InterfaceName, v4: &str, v6: &str| {
        namespace
            .run(|proof| {
                let builder = Builder::open(proof)?;
                builder.add_address(link, v4.parse().expect("a prefix"), Detection::Run)?;
                builder.add_address(link, v6.parse().expect("a prefix"), Detection::Skip)?;
                builder.set_up(link)
            })
            .expect("it can be joined")
            .expect("it can be built");
    };
    near.run(|proof| Builder::open(proof)?.add_veth(&End::named(&u0), &End::named(&v0), &far))
        .expect("it can be joined")
        .expect("a veth pair");
    build(&near, &u0, "10.0.0.1/24", "fd00::1/64");
    build(&far, &v0, "10.0.0.2/24", "fd00::2/64");
    let at = ["10.0.0.2:7", "[fd00::2]:7"].map(|text| text.parse().expect("an address"));
    let echo = far
        .run(|proof| Echo::start(&at, &Origin::any(proof)))
        .expect("it can be joined")
        .expect("a server");
    near.run(|proof| {
        let origin = Origin::any(proof).device(&u0);
        for to in at {
            for answer in [
                icmp::echo(to, &origin, PATIENT),
                tcp::connect(to, &origin, PATIENT),
                udp::ask(to, &origin, PATIENT),
            ] {
                assert!(matches!(answer, Ok(Answer::Passed { .. })), "{to}: {answer:?}");
            }
        }
    })
    .expect("it can be joined");
    drop(echo);
    assert!(
        Path::new("/proc/self/task").read_dir().expect("/proc").count() == 1,
        "no thread is left behind"
    );
}
