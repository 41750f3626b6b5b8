//! What the fuzzer runs, and the replay of its corpus in `tests/fuzz_corpus.rs`: bytes that others made, through the code
//! that reads them. Whatever they are, the answer is a value or an error, soon and in little memory.

use std::fs;
use std::path::Path;

use portcullis::daemon::server::Detached;
use portcullis::kernel::fuzz::{KINDS, datagram, payload};
use portcullis::model::chain::Verdict;
use portcullis::model::names::Digest;
use portcullis::model::policy_file;
use portcullis::store::audit::{self, AuditFile};
use portcullis::store::directory::StateDirectory;
use portcullis::store::journal;

/// A target of cargo-fuzz: its name, and the function that it calls.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] = [
    ("policy", policy),
    ("request", request),
    ("journal", journal),
    ("audit", audit),
    ("netlink", netlink),
];

/// A policy file; the text of its errors is drawn, too.
pub fn policy(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(errors) = policy_file::parse("fuzz.toml", &text) {
        assert!(!errors.to_string().is_empty());
    }
}

/// The first byte says where the rest is sent as a body; from 4 on the rest is everything that comes over a connection.
pub fn request(bytes: &[u8]) {
    const PATHS: [&str; 4] = ["emergencies", "plans", "emergencies/x/extend", "emergencies/x/revert"];
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let sent = PATHS.get(usize::from(*first)).map_or_else(
        || rest.to_vec(),
        |path| {
            let length = rest.len();
            let head = format!(
                "POST /v1/{path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            [head.as_bytes(), rest].concat()
        },
    );
    let answer = SERVER
        .with(|(runtime, server)| runtime.block_on(server.exchange(&sent)))
        .unwrap();
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1."),
        "{:?}",
        String::from_utf8_lossy(&answer)
    );
}

thread_local! {
    static SERVER: (tokio::runtime::Runtime, Detached) = (
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        Detached::default(),
    );
    static STATE: (tempfile::TempDir, StateDirectory) = {
        // Memory where there is any: nothing of it is to outlast the run.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::tempdir_in(parent).unwrap();
        let directory = StateDirectory::open(folder.path().join("state")).unwrap();
        (folder, directory)
    };
}

/// The first byte: bit 0, whether the rest is put behind a header that fits it, since no fuzzer guesses a SHA-256; bit 1,
/// whether it is the baseline or the journal.
pub fn journal(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let mut file = Vec::new();
    if first & 1 == 1 {
        file = format!("portcullis-journal 1 {} {}\n", rest.len(), Digest::of(rest)).into_bytes();
    }
    file.extend_from_slice(rest);
    STATE.with(|(_, state)| {
        if first & 2 == 2 {
            fs::write(state.path_of("baseline.json"), file).unwrap();
            if let (Some(baseline), _) = journal::load_baseline(state) {
                journal::renew_baseline(state, &baseline).unwrap();
                assert_eq!(
                    journal::load_baseline(state).0,
                    Some(baseline),
                    "it was written and is read otherwise"
                );
            }
            return;
        }
        fs::write(state.path_of("journal.json"), file).unwrap();
        if let Ok(Some(found)) = journal::load(state) {
            journal::save(state, &found.contents).unwrap();
            let again = journal::load(state).unwrap().unwrap();
            assert_eq!(again.contents, found.contents, "it was written and is read otherwise");
        }
    });
}

/// A log that a process left: what is taken up is intact from then on.
pub fn audit(bytes: &[u8]) {
    STATE.with(|(_, state)| {
        let path = state.path_of("audit.jsonl");
        fs::write(&path, bytes).unwrap();
        let before = audit::verify(&path).unwrap();
        let taken_up = AuditFile::open(state, "audit.jsonl").is_ok();
        let after = audit::verify(&path).unwrap();
        if taken_up {
            assert!(matches!(after, Verdict::Intact { .. }), "{before:?}, then {after:?}");
        } else {
            assert_eq!(fs::read(&path).unwrap(), bytes, "a log that is refused was changed");
        }
    });
}

/// The first byte says of which kind the rest is; from 8 on it is a whole datagram.
pub fn netlink(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    match KINDS.get(usize::from(*first)) {
        Some(kind) => drop(payload(*kind, rest)),
        None => drop(datagram(rest)),
    }
}
