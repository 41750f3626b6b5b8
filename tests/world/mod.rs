//! A world of network namespaces for integration tests.
//!
//! [`inside`] runs a test again in a network and a mount namespace of its own, as root or, without the right to, in a
//! user namespace. It fails, and never skips, where there are no namespaces, and it refuses to run a body in the
//! initial network namespace, so no test can touch the host. Topologies are built by `ip` and `tc`, which are no code
//! of ours; what is asked of them are the library's own probes.
//!
//! ```ignore
//! #[test]
//! fn a_prohibit_rule_cuts_the_world_off() {
//!     world::inside("a_prohibit_rule_cuts_the_world_off", |world| {
//!         let net = Topology::host(world);
//!         let matrix = Matrix::open(&net);
//!         matrix.control();                                             // everything passes
//!         ip(&net.subject, "rule add pref 100 prohibit");
//!         let seen = matrix.run(SHORT);
//!         assert_eq!(seen.fate(Traffic::LocalOutV4), Some(Fate::Stopped), "{seen}");
//!     });
//! }
//! ```

#![allow(
    clippy::allow_attributes,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_in_result,
    clippy::unwrap_used,
    dead_code,
    reason = "test code; every test binary includes this module and uses another part of it"
)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use portcullis::drill::namespace::{Namespace, NamespaceId, NotInitial, refuse_initial};

pub mod matrix;
pub mod state;
pub mod topology;

/// Tells the inner run from the outer one, and holds the network namespace that the outer one was in.
const MARKER: &str = "PORTCULLIS_TEST_OUTSIDE";
/// The inner run's last words. A test name that is not found runs nothing, succeeds, and does not say this.
const DONE: &str = "the world came to its end in";
/// An inner run that takes longer is killed; `PORTCULLIS_TEST_MINUTES` gives more to those that are not run every time.
const INNER_MAX: Duration = Duration::from_secs(240);

/// What a test gets to build in.
#[derive(Clone, Copy, Debug)]
pub struct World {
    proof: NotInitial,
}

/// Whose the world's namespaces are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The caller's user namespace where the caller has the right to, and otherwise one of their own.
    Caller,
    /// A user namespace of their own, in which no limit of a socket buffer may be exceeded (socket(7)).
    Nobody,
}

/// Runs `body` in a scratch world. `test` is the name of the test as `cargo test -- --list` has it.
pub fn inside(test: &str, body: impl FnOnce(World)) {
    inside_of(Owner::Caller, test, body);
}

/// The same, with a choice of whose the world is.
pub fn inside_of(owner: Owner, test: &str, body: impl FnOnce(World)) {
    let Ok(outside) = std::env::var(MARKER) else {
        return run_again_inside(owner, test);
    };
    let outside: NamespaceId = outside.parse().expect("the outer run wrote the id of its namespace");
    let proof = refuse_initial(Some(outside)).expect("the inner run is in a namespace of its own");
    prepare();
    body(World { proof });
    println!("{DONE} {test}");
}

fn run_again_inside(owner: Owner, test: &str) {
    let mut command = Command::new("unshare");
    command
        .args(how_to_unshare(owner))
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
        .env("PATH", path_with_sbin())
        .env(MARKER, NamespaceId::current().unwrap().to_string());
    let within = std::env::var("PORTCULLIS_TEST_MINUTES").map_or(INNER_MAX, |minutes| {
        Duration::from_secs(60 * minutes.parse::<u64>().expect("PORTCULLIS_TEST_MINUTES is a number"))
    });
    let ended = run_to_end(&mut command, within);
    print!("{}", ended.stdout);
    eprint!("{}", ended.stderr);
    let status = ended
        .status
        .unwrap_or_else(|| panic!("{test} was still running in its world after {within:?}"));
    assert!(status.success(), "{test} failed in its world: {status}");
    let said = format!("{DONE} {test}\n");
    assert!(
        ended.stdout.contains(&said),
        "no test ran in the world: is {test:?} the name of a test of this binary?"
    );
}

/// Whoever is not root often has no `tc` in their path.
fn path_with_sbin() -> String {
    std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin"
}

/// As root in the host's user namespace, or with a user namespace of its own.
fn how_to_unshare(owner: Owner) -> Vec<&'static str> {
    let plain = vec!["--net", "--mount"];
    let with_user = vec!["--user", "--map-root-user", "--net", "--mount"];
    let ways = match owner {
        Owner::Caller => vec![plain, with_user],
        Owner::Nobody => vec![with_user],
    };
    let mut complaints = String::new();
    for way in ways {
        let tried = run_to_end(Command::new("unshare").args(&way).arg("true"), INNER_MAX);
        if tried.status.is_some_and(|status| status.success()) {
            return way;
        }
        complaints += &tried.stderr;
    }
    panic!(
        "no network namespaces here, so this cannot be tested:\n{complaints}hint: run as root, or allow user namespaces \
         (kernel.unprivileged_userns_clone, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns)"
    );
}

/// A /run of its own, so that `ip netns` works and leaves nothing behind; sysctls that can be written.
fn prepare() {
    mount(
        Some("tmpfs"),
        "/run",
        Some("tmpfs"),
        MsFlags::empty(),
        Some("mode=0755"),
    )
    .expect("a tmpfs on /run");
    std::fs::create_dir("/run/netns").unwrap();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").expect("sysctls of the world's own namespace can be written");
}

struct Ended {
    /// None: it was killed because its time was over.
    status: Option<ExitStatus>,
    stdout: String,
    stderr: String,
}

fn run_to_end(command: &mut Command, within: Duration) -> Ended {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = read_all(child.stdout.take().unwrap());
    let stderr = read_all(child.stderr.take().unwrap());
    let status = wait_at_most(&mut child, within);
    if status.is_none() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What the child started may hold its output open for ever. Then the output is lost, and so is a test's last word.
    let held = |_| "(something that was left running still holds this output)\n".to_owned();
    Ended {
        status,
        stdout: stdout.recv_timeout(OUTPUT_ENDS_AFTER).unwrap_or_else(held),
        stderr: stderr.recv_timeout(OUTPUT_ENDS_AFTER).unwrap_or_else(held),
    }
}

/// So long after a program's end its output must have ended, too.
const OUTPUT_ENDS_AFTER: Duration = Duration::from_secs(10);

fn read_all(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (whole, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        // Nobody may be waiting any more; then nobody wants it.
        drop(whole.send(String::from_utf8_lossy(&bytes).into_owned()));
    });
    receiver
}

fn wait_at_most(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= until {
            return None;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// How often a state is looked at that nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits for a state: level-triggered, so it does not matter when it came about. Panics after `timeout`.
#[track_caller]
pub fn wait_until(what: &str, timeout: Duration, mut cond: impl FnMut() -> bool) {
    let until = Instant::now() + timeout;
    while !cond() {
        assert!(Instant::now() < until, "waited {timeout:?} in vain until {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

impl World {
    /// The proof for library code; also that of the test's own thread.
    pub fn proof(self) -> NotInitial {
        self.proof
    }

    /// The namespace that the test itself runs in.
    pub fn own(self) -> Namespace {
        Namespace::open("the world's own", Path::new("/proc/thread-self/ns/net"), self.proof).unwrap()
    }

    /// Makes a named namespace, also for `ip netns`, with its loopback up.
    pub fn namespace(self, name: &str) -> Namespace {
        command_here("ip", &["netns", "add", name]);
        let namespace = Namespace::open(name, &path_of(name), self.proof).unwrap();
        ip(&namespace, "link set lo up");
        namespace
    }
}

/// The path of a binary under test: the one that cargo built for these tests, or that in `PORTCULLIS_BIN_DIR` where
/// another user runs the tests and may not read cargo's, or where other binaries are to be tested.
pub fn bin(name: &str) -> PathBuf {
    let compiled_in = match name {
        "portcullis" => env!("CARGO_BIN_EXE_portcullis"),
        "portcullisd" => env!("CARGO_BIN_EXE_portcullisd"),
        other => panic!("there is no binary {other}"),
    };
    match std::env::var_os("PORTCULLIS_BIN_DIR") {
        Some(folder) => Path::new(&folder).join(name),
        None => PathBuf::from(compiled_in),
    }
}

fn path_of(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

fn command_here(program: &str, args: &[&str]) {
    let ended = run_to_end(Command::new(program).args(args), INNER_MAX);
    assert!(ended.status.unwrap().success(), "{program} {args:?}: {}", ended.stderr);
}

/// Runs a program in a namespace and gives what it printed, or what it complained about.
pub fn try_run(namespace: &Namespace, program: &str, args: &[&str], input: &str) -> Result<String, String> {
    // A child begins in the network namespace of the thread that starts it.
    let output = namespace.run(|_| {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.unwrap();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Runs a program in a namespace and gives what it printed.
#[track_caller]
pub fn run(namespace: &Namespace, program: &str, args: &[&str]) -> String {
    try_run(namespace, program, args, "")
        .unwrap_or_else(|why| panic!("{}: {program} {args:?}: {why}", namespace.name()))
}

/// Runs `ip`, once for each line.
#[track_caller]
pub fn ip(namespace: &Namespace, lines: &str) {
    batch(namespace, "ip", &["-batch", "-"], lines);
}

/// Runs `ip -6`, once for each line: for rules, whose family no address tells.
#[track_caller]
pub fn ip6(namespace: &Namespace, lines: &str) {
    batch(namespace, "ip", &["-6", "-batch", "-"], lines);
}

/// Runs `tc`, once for each line.
#[track_caller]
pub fn tc(namespace: &Namespace, lines: &str) {
    batch(namespace, "tc", &["-batch", "-"], lines);
}

#[track_caller]
fn batch(namespace: &Namespace, program: &str, args: &[&str], lines: &str) {
    let lines: String = lines.lines().map(|line| format!("{}\n", line.trim())).collect();
    if let Err(why) = try_run(namespace, program, args, &lines) {
        let numbered: Vec<String> = (1..)
            .zip(lines.lines())
            .map(|(n, line)| format!("{n}: {line}"))
            .collect();
        panic!("{}: {program}: {why}{}", namespace.name(), numbered.join("\n"));
    }
}

/// Runs every line that is not empty, a program and its arguments by white space: for lines with options that no
/// batch takes.
#[track_caller]
pub fn script(namespace: &Namespace, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        run_line(namespace, line);
    }
}

/// Runs a program and its arguments, by white space, and gives what it printed.
#[track_caller]
pub fn run_line(namespace: &Namespace, line: &str) -> String {
    try_line(namespace, line).unwrap_or_else(|why| panic!("{}: {line}: {why}", namespace.name()))
}

/// The same, or what it complained about.
pub fn try_line(namespace: &Namespace, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (program, args) = words.split_first().expect("a program");
    try_run(namespace, program, args, "")
}

/// Writes a sysctl of a namespace; `name` with dots.
#[track_caller]
pub fn sysctl(namespace: &Namespace, name: &str, value: &str) {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let written = namespace.run(|_| std::fs::write(&path, value)).unwrap();
    written.unwrap_or_else(|error| panic!("{}: {path}: {error}", namespace.name()));
}

/// Waits until no IPv6 address of the namespace is tentative any more; one that failed the detection is an error.
#[track_caller]
pub fn wait_for_dad(namespace: &Namespace) {
    wait_until("duplicate address detection is over", Duration::from_secs(20), || {
        let failed = run(namespace, "ip", &["-6", "-o", "addr", "show", "dadfailed"]);
        assert_eq!(failed, "", "an address is in use twice");
        run(namespace, "ip", &["-6", "-o", "addr", "show", "tentative"]).is_empty()
    });
}

/// A child process of the test, killed and reaped when it goes out of scope. Where the test process itself is killed,
/// the kernel kills the child (PR_SET_PDEATHSIG, by setpriv(1)), if it was started on the test's own thread.
#[derive(Debug)]
pub struct Kid {
    child: Child,
}

impl Kid {
    /// Starts a program in a namespace of [`World::namespace`]. `set_up` may add arguments, environment and pipes.
    #[track_caller]
    pub fn spawn(namespace: &Namespace, program: &Path, set_up: impl FnOnce(&mut Command)) -> Self {
        // Both wrappers exec, so the child's process id is the program's.
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", path_of(namespace.name()).display()))
            .args(["setpriv", "--pdeathsig", "KILL", "--"])
            .arg(program)
            .stdin(Stdio::null());
        set_up(&mut command);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child }
    }

    /// Its process id.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// For its pipes, and for looking whether it has ended.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        wait_at_most(&mut self.child, within)
            .unwrap_or_else(|| panic!("process {} was still running after {within:?}", self.child.id()))
    }
}

impl Drop for Kid {
    fn drop(&mut self) {
        // An error means that it has ended and was reaped already, which is what is wanted.
        if self.child.kill().is_ok() {
            let reaped = self.child.wait();
            assert!(reaped.is_ok() || thread::panicking(), "{reaped:?}");
        }
    }
}
