//! Files of the state directory that are not what the daemon made.

use std::fs;

use serde_json::json;

use crate::daemon::{PATIENT, declaration};
use crate::world::state::{assert_same, state};
use crate::{LONG_MS, home, host, world};

#[test]
fn a_bad_file_in_the_state_directory_is_a_clear_error_and_changes_nothing() {
    world::inside(
        "state_directory::a_bad_file_in_the_state_directory_is_a_clear_error_and_changes_nothing",
        |world| {
            let host = host(world);
            let before = state(&host);
            type Plant = fn(&std::path::Path);
            let plants: [(&str, Plant); 4] = [
                ("symbolic link", |path| {
                    std::os::unix::fs::symlink("/etc/passwd", path).unwrap()
                }),
                ("not a regular file", |path| {
                    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
                }),
                ("not a regular file", |path| fs::create_dir(path).unwrap()),
                ("lets others write", |path| {
                    fs::write(path, "{}").unwrap();
                    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
                }),
            ];
            for (why, plant) in plants {
                let home = home();
                fs::create_dir(home.state()).unwrap();
                fs::set_permissions(home.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
                plant(&home.state().join("journal.json"));
                let mut daemon = home.spawn(&host);
                assert_eq!(daemon.kid.wait(PATIENT).code(), Some(1), "{why}: {}", home.log());
                let log = home.log();
                assert!(
                    log.contains(why) && log.contains("journal.json") && log.contains("hint"),
                    "{why}: {log}"
                );
                // The log may be anything: the daemon must come up to restore, but it cuts nothing.
                let home = crate::home();
                fs::create_dir(home.state()).unwrap();
                fs::set_permissions(home.state(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
                plant(&home.audit());
                let daemon = home.start(&host);
                let answer = daemon.post("/v1/emergencies", &declaration("additive", LONG_MS));
                assert_eq!(
                    (answer.status, &answer.json()["code"]),
                    (503, &json!("no-record")),
                    "{why}: {answer:?}"
                );
                let fault = daemon.get("/v1/status").json()["audit"]["fault"].to_string();
                assert!(fault.contains(why), "{why}: {fault}");
                daemon.stop();
            }
            assert_same(&before, &state(&host));
        },
    );
}
