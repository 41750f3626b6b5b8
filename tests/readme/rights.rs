//! The table of methods and rights in README.md is what the daemon does, at its real socket, for other users than root.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis::api::rights::{Method, Verb};
use serde_json::Value;

use super::daemon::{Answer, Home, declaration, policy};
use super::{POLICY, section};
use crate::world;
use crate::world::state::{assert_same, state};
use crate::world::topology::one_uplink;

/// What README.md shows, with names that every Debian has.
const CONFIG: &str = r#"
socket-group = "users"

[rights]
observe = { users = ["daemon"], groups = ["games", "operator", "staff"] }
plan    = { groups = ["games", "operator"] }
declare = { groups = ["operator"] }
approve = { groups = ["games"] }
revert  = { groups = ["operator", "staff"] }
"#;

/// A name with uid, gid and supplementary groups.
pub(super) type Role = (&'static str, u32, u32, &'static str);

/// The columns of the table: who, with uid, gid and supplementary groups. All but one may open the socket (group 100).
const ROLES: [Role; 6] = [
    ("root", 0, 0, ""),
    ("operator", 6, 12, "37,100"),
    ("planner", 7, 60, "100"),
    ("undoer", 8, 8, "50,100"),
    ("watcher", 1, 1, "100"),
    ("other", 9, 9, "100"),
];

/// Who may open the socket of hooks (group 34), and nothing else; no right is theirs.
pub(super) const HOOK: Role = ("hook", 2, 2, "34");

/// Sends standard input to a socket and prints what comes back.
const CLIENT: &str = r#"
    local $/; my $request = <STDIN>;
    socket(S, AF_UNIX, SOCK_STREAM, 0) and connect(S, pack_sockaddr_un($ARGV[0])) or die "$!";
    syswrite(S, $request); print <S>;
"#;

/// The answer; status 0 where the socket is not open to the role.
pub(super) fn ask_as((role, uid, gid, groups): Role, socket: &Path, request: &str) -> Answer {
    let mut command = Command::new(if uid == 0 { "env" } else { "setpriv" });
    if uid != 0 {
        command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
        command.arg(format!("--groups={groups}"));
    }
    let mut child = command
        .args(["perl", "-MSocket", "-e", CLIENT])
        .arg(socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(request.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Permission denied"), "{role}: {said}");
        return Answer {
            status: 0,
            head: String::new(),
            body: String::new(),
        };
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{role}: {text:?}"));
    Answer {
        status: head[9..12].parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// A request of the method that changes nothing, whoever may make it.
fn request(method: Method) -> (String, String) {
    let (verb, path, _) = method.entry();
    let path_now = path
        .replace("{name}", "isolate-host")
        .replace("{id}", "00000000-0000-7000-8000-000000000000");
    let (verb, body) = match verb {
        Verb::Get => ("GET", String::new()),
        Verb::Post => ("POST", body(method).to_owned()),
    };
    let length = if verb == "POST" {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    } else {
        String::new()
    };
    let text = format!("{verb} {path_now} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n{body}");
    (format!("{verb} {path}"), text)
}

fn body(method: Method) -> &'static str {
    match method {
        Method::Plan => r#"{"policy":"isolate-host"}"#,
        Method::Declare => r#"{"policy":"no-such-policy","reason":"why","authority":"INC-1"}"#,
        Method::Extend => r#"{"by_ms":60000}"#,
        Method::Approve => r#"{"plan":"0000"}"#,
        Method::Reject => r#"{"reason":"not now"}"#,
        Method::NewOrder => r#"{"act":{"revert":{"policy":"isolate-host"}}}"#,
        Method::Alert => r#"{"policy":"no-such-policy","state":"firing","reason":"why"}"#,
        Method::Order => r#"{"order":"{}\n","signature":"none"}"#,
        Method::Confirm | Method::Revert | Method::Status | Method::Readiness | Method::Snapshot => "",
        Method::OpenApi | Method::Policies | Method::Policy | Method::Emergencies | Method::Emergency => "",
        Method::CloseReview => r#"{"finding":"it was needed"}"#,
        Method::Receipt | Method::Reviews | Method::Audit | Method::AuditHead => "",
    }
}

pub(super) fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    let mut row = "|".to_owned();
    for cell in cells {
        write!(row, " {cell} |").unwrap();
    }
    row
}

#[test]
fn every_method_answers_each_role_as_the_table_says() {
    world::inside("rights::every_method_answers_each_role_as_the_table_says", |world| {
        let (host, home) = (one_uplink(world), Home::with(&[("isolate-host.toml", POLICY)]));
        std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
        home.configure(&with_hooks(&home, &config()));
        let daemon = home.start(&host);
        let roles = roles();
        // Whoever can be one user alone leaves the last column out.
        let hook: &[Role] = if roles.len() == ROLES.len() { &[HOOK] } else { &[] };
        let names = roles.iter().chain(hook).map(|role| role.0);
        let count = 3 + roles.len() + hook.len();
        let mut table = vec![
            row(["method", "socket", "right"]
                .into_iter()
                .chain(names)
                .map(str::to_owned)),
            format!("|{}", "---|".repeat(count)),
        ];
        for method in Method::ALL {
            let (name, text) = request(method);
            let cell = |(role, socket): (&Role, &Path)| {
                let answer = ask_as(*role, socket, &text);
                let refused = answer.status == 403;
                if refused {
                    assert_eq!(answer.json()["code"], "forbidden", "{role:?}, {name}");
                }
                (if refused { "" } else { "yes" }).to_owned()
            };
            let access = method.entry().2;
            let right = access.right().map_or("", |right| right.word());
            let operators = home.socket();
            let by_operators = roles.iter().map(|role| (role, operators.as_path()));
            let hooks = hook_socket(&home);
            let by_hooks = hook.iter().map(|role| (role, hooks.as_path()));
            table.push(row([format!("`{name}`"), access.doors().to_owned(), right.to_owned()]
                .into_iter()
                .chain(by_operators.chain(by_hooks).map(cell))));
        }
        let readme = section("Who may");
        assert!(
            readme.contains(CONFIG),
            "the rights in README.md are not those of this test"
        );
        let documented = readme.lines().filter(|line| line.starts_with('|'));
        let documented: Vec<String> = documented.map(|line| columns(line, count)).collect();
        assert_eq!(documented, table, "\n{}", table.join("\n"));
        if roles.len() < ROLES.len() {
            daemon.stop();
            return;
        }
        let outside = ask_as(("outside", 9, 9, "12"), &home.socket(), &request(Method::Status).1);
        assert_eq!(
            outside.status, 0,
            "whoever is not in the group of the socket got an answer"
        );
        let status = request(Method::Status).1;
        for (role, socket) in [(HOOK, home.socket()), (ROLES[1], hook_socket(&home))] {
            assert_eq!(ask_as(role, &socket, &status).status, 0, "{role:?} at {socket:?}");
        }

        recorded(&daemon.get("/v1/audit?kind=request-refused").json());
        daemon.stop();
    });
}

#[test]
fn one_user_declares_another_approves_and_a_third_ends_it() {
    world::inside(
        "rights::one_user_declares_another_approves_and_a_third_ends_it",
        |world| {
            let policy = policy("shared", "\"gate\", \"seal\"", "closed") + "\n[approval]\npeople = 1\n";
            let (host, home) = (one_uplink(world), Home::with(&[("shared.toml", &policy)]));
            std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).unwrap();
            home.configure(&config().replace("{ groups = [\"games\"] }", "{ groups = [\"games\", \"operator\"] }"));
            let daemon = home.start(&host);
            let before = state(&host);
            let [root, operator, planner, undoer, ..] = ROLES;
            let can_be_others = roles().len() == ROLES.len();
            let operator = if can_be_others { operator } else { root };
            let ask = |role, path: &str, body: &Value| ask_as(role, &home.socket(), &post(path, body));

            let proposed = ask(operator, "/v1/emergencies", &declaration("shared", 600_000));
            assert_eq!(proposed.status, 202, "{proposed:?}");
            let proposed = proposed.json();
            assert_eq!(proposed["state"], "proposed");
            let path = |verb: &str| format!("/v1/emergencies/{}/{verb}", proposed["id"].as_str().unwrap());
            let approval = serde_json::json!({ "plan": proposed["plan_digest"] });
            let own = ask(operator, &path("approve"), &approval);
            assert_eq!((own.status, own.json()["code"].as_str()), (403, Some("same-person")));
            assert_same(&before, &state(&host));
            if !can_be_others {
                // One person alone can only take it back.
                let taken_back = ask(
                    root,
                    &path("reject"),
                    &serde_json::json!({ "reason": "nobody else is here" }),
                );
                assert_eq!(taken_back.status, 200, "{taken_back:?}");
                assert_same(&before, &state(&host));
                daemon.stop();
                return;
            }
            let approved = ask(planner, &path("approve"), &approval);
            assert_eq!(
                (approved.status, approved.json()["state"].as_str()),
                (200, Some("in-force"))
            );
            assert_ne!(before, state(&host), "nothing was cut");
            let receipt = ask(undoer, &path("revert"), &serde_json::json!({}));
            assert_eq!((receipt.status, receipt.json()["state"].as_str()), (200, Some("ended")));
            assert_same(&before, &state(&host));
            daemon.stop();
        },
    );
}

/// Those that can be asked as: in a user namespace with one user that is root alone.
pub(super) fn roles() -> &'static [Role] {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let lengths = map.lines().filter_map(|line| line.split_whitespace().nth(2));
    let users: u64 = lengths.map(|length| length.parse::<u64>().unwrap()).sum();
    let all = users > u64::from(ROLES.map(|role| role.1).into_iter().max().unwrap());
    if all { &ROLES } else { &ROLES[..1] }
}

/// The configuration; whoever is root alone in a user namespace can give no other group a socket.
fn config() -> String {
    let group = "socket-group = \"users\"\n";
    assert!(CONFIG.contains(group));
    if roles().len() == ROLES.len() {
        CONFIG.to_owned()
    } else {
        CONFIG.replace(group, "")
    }
}

/// Where hooks come in.
pub(super) fn hook_socket(home: &Home) -> PathBuf {
    home.path().join("h.sock")
}

/// A configuration with a socket of hooks; whoever is root alone gives it to no group.
pub(super) fn with_hooks(home: &Home, config: &str) -> String {
    let socket = format!("hook-socket = {:?}\n", hook_socket(home));
    let group = if roles().len() == ROLES.len() {
        "hook-socket-group = \"backup\"\n"
    } else {
        ""
    };
    format!("{socket}{group}{config}")
}

/// The first cells of a row of a table.
fn columns(line: &str, count: usize) -> String {
    let cells: Vec<&str> = line.split_inclusive('|').collect();
    cells[..cells.len().min(count + 1)].concat()
}

/// Each refusal of a right is in the log, with who it was.
fn recorded(page: &Value) {
    let records = page["records"].as_array().unwrap();
    let of = |uid: u32| {
        let records = records.iter().map(|record| &record["actor"]["peer"]);
        records.filter(move |peer| peer["uid"] == uid).collect::<Vec<_>>()
    };
    assert_eq!(of(9).len(), Method::ALL.len(), "{records:#?}");
    for peer in of(8) {
        assert_eq!(peer["groups"], serde_json::json!([50, 100]), "{peer}");
        assert!(peer["executable"].as_str().unwrap().contains("perl"), "{peer}");
    }
}
