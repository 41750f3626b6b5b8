use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::store::disk::{AfterFault, FaultyDisk};

/// A directory of ours in which a state directory may stand.
fn room() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn defect<T: std::fmt::Debug>(result: Result<T, StoreError>, at: &Path) -> Defect {
    match result {
        Err(StoreError::Refused { path, defect }) => {
            assert_eq!(path, at);
            defect
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_absent_directory_is_made_for_its_owner_alone() {
    let room = room();
    let path = room.path().join("state");
    let state = StateDirectory::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & PERMISSIONS, 0o700);
    assert_eq!(state.path(), path);
    drop(state);
    StateDirectory::open(path.join("")).expect("it can be opened again, and a slash behind it is no matter");
}

#[test]
fn a_directory_without_a_parent_or_a_name_is_refused() {
    let room = room();
    let path = room.path().join("absent/state");
    match StateDirectory::open(&path) {
        Err(StoreError::Io { path, source, .. }) => {
            assert_eq!(path, room.path().join("absent"));
            assert_eq!(source.kind(), io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
    for path in ["/", "", "..", "/tmp/.."] {
        assert_eq!(defect(StateDirectory::open(path), Path::new(path)), Defect::NoName);
    }
}

#[test]
fn a_symbolic_link_or_a_file_in_its_place_is_refused() {
    let room = room();
    fs::create_dir(room.path().join("real")).unwrap();
    let link = room.path().join("link");
    symlink(room.path().join("real"), &link).unwrap();
    assert_eq!(defect(StateDirectory::open(&link), &link), Defect::Symlink);
    let dangling = room.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    assert_eq!(defect(StateDirectory::open(&dangling), &dangling), Defect::Symlink);
    let file = room.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(defect(StateDirectory::open(&file), &file), Defect::NotADirectory);
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    let room = room();
    let path = room.path().join("state");
    fs::create_dir(&path).unwrap();
    for mode in [0o720, 0o702, 0o777, 0o1777] {
        chmod(&path, mode);
        assert_eq!(defect(StateDirectory::open(&path), &path), Defect::Writable { mode });
    }
    chmod(&path, 0o755);
    StateDirectory::open(&path).expect("others may read");
}

#[test]
fn a_parent_in_which_anybody_can_replace_it_is_refused() {
    let room = room();
    let parent = room.path().join("parent");
    fs::create_dir(&parent).unwrap();
    let path = parent.join("state");
    chmod(&parent, 0o777);
    let mode = 0o777;
    assert_eq!(
        defect(StateDirectory::open(&path), &path),
        Defect::ParentWritable { mode }
    );
    assert!(!path.exists(), "refused before it is made");
    chmod(&parent, 0o1777);
    StateDirectory::open(&path).expect("a sticky parent is safe");
}

#[test]
fn a_directory_or_file_of_somebody_else_is_refused() {
    let room = room();
    let found = nix::unistd::geteuid().as_raw();
    let expected = found + 1;
    let ours = || File::open(room.path()).unwrap();
    assert_eq!(
        defect(check_directory(ours(), room.path(), expected), room.path()),
        Defect::Owner { found, expected }
    );
    check_directory(ours(), room.path(), found).unwrap();
    fs::write(room.path().join("file"), "").unwrap();
    let open_as = |uid| open_checked(ours().as_fd(), "file", OFlag::O_RDONLY, &room.path().join("file"), uid);
    assert_eq!(
        defect(open_as(expected), &room.path().join("file")),
        Defect::Owner { found, expected }
    );
    open_as(found).unwrap();
}

#[test]
fn its_owner_must_be_the_effective_user() {
    let room = room();
    let path = room.path().join("state");
    let expected = nix::unistd::geteuid().as_raw();
    let found = 12_345;
    fs::create_dir(&path).unwrap();
    match std::os::unix::fs::chown(&path, Some(found), None) {
        Ok(()) => assert_eq!(
            defect(StateDirectory::open(&path), &path),
            Defect::Owner { found, expected }
        ),
        Err(_) if expected != 0 => {
            let usr = Path::new("/usr/lib");
            assert_eq!(
                defect(StateDirectory::open(usr), usr),
                Defect::Owner { found: 0, expected }
            );
        }
        // Root of a user namespace with one user: everything is either its own or of the overflow user.
        Err(_) => {
            let one_user = fs::read_to_string("/proc/self/uid_map").unwrap();
            assert_eq!(one_user.split_ascii_whitespace().last(), Some("1"));
        }
    }
}

#[test]
fn a_second_process_is_told_who_has_it() {
    let room = room();
    let path = room.path().join("state");
    let first = StateDirectory::open(&path).unwrap();
    let error = StateDirectory::open(&path).unwrap_err();
    let holder = format!("process {} (", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    assert!(!error.hint().is_empty());
    drop(first);
    StateDirectory::open(&path).expect("the lock was given back");
}

#[test]
fn only_an_ordinary_file_of_ours_is_read() {
    let room = room();
    let path = room.path().join("state");
    let state = StateDirectory::open(&path).unwrap();
    let at = |name: &str| path.join(name);
    let refused = |name: &str| defect(state.read(name, 100), &at(name));

    assert_eq!(state.read("absent", 100).unwrap(), None);
    fs::write(room.path().join("elsewhere"), "secret").unwrap();
    symlink(room.path().join("elsewhere"), at("symlink")).unwrap();
    assert_eq!(refused("symlink"), Defect::Symlink);
    symlink("nowhere", at("dangling")).unwrap();
    assert_eq!(refused("dangling"), Defect::Symlink);
    fs::hard_link(room.path().join("elsewhere"), at("hard-link")).unwrap();
    assert_eq!(refused("hard-link"), Defect::Links { found: 2 });
    nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
    assert_eq!(refused("fifo"), Defect::NotAFile);
    fs::create_dir(at("directory")).unwrap();
    assert_eq!(refused("directory"), Defect::NotAFile);
    let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    assert_eq!(refused("socket"), Defect::NotAFile);
    for mode in [0o620, 0o602, 0o666] {
        fs::write(at("open"), "x").unwrap();
        chmod(&at("open"), mode);
        assert_eq!(refused("open"), Defect::Writable { mode });
    }
    for name in ["../elsewhere", "a/b", "..", ".", "", "/etc/passwd", "x/"] {
        assert_eq!(
            defect(state.read(name, 100), &path.join(name)),
            Defect::NoName,
            "{name}"
        );
        assert_eq!(
            defect(state.replace(name, b""), &path.join(name)),
            Defect::NoName,
            "{name}"
        );
    }
}

#[test]
fn a_planted_lock_file_is_refused() {
    let room = room();
    let path = room.path().join("state");
    fs::create_dir(&path).unwrap();
    symlink(room.path().join("victim"), path.join("lock")).unwrap();
    assert_eq!(defect(StateDirectory::open(&path), &path.join("lock")), Defect::Symlink);
    assert!(!room.path().join("victim").exists());
    fs::remove_file(path.join("lock")).unwrap();
    nix::unistd::mkfifo(&path.join("lock"), Mode::S_IRWXU).unwrap();
    assert_eq!(
        defect(StateDirectory::open(&path), &path.join("lock")),
        Defect::NotAFile
    );
}

#[test]
fn what_is_planted_where_we_write_is_replaced_and_not_followed() {
    let room = room();
    let path = room.path().join("state");
    let state = StateDirectory::open(&path).unwrap();
    let victim = room.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    symlink(&victim, path.join(".file.new")).unwrap();
    symlink(&victim, path.join("file")).unwrap();
    state.replace("file", b"new").unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"untouched");
    assert_eq!(state.read("file", 100).unwrap().unwrap(), b"new");
    assert_eq!(
        fs::symlink_metadata(path.join("file")).unwrap().mode() & PERMISSIONS,
        0o600
    );
}

#[test]
fn the_limit_is_the_longest_file_that_is_read() {
    let room = room();
    let state = StateDirectory::open(room.path().join("state")).unwrap();
    state.replace("file", &[7; 100]).unwrap();
    assert_eq!(state.read("file", 100).unwrap().unwrap(), [7; 100]);
    let error = state.read("file", 99).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { limit_bytes: 99, .. }), "{error}");
}

#[test]
fn removing_what_is_not_there_is_done_already() {
    let room = room();
    let state = StateDirectory::open(room.path().join("state")).unwrap();
    state.replace("a", b"1").unwrap();
    state.remove(&["a", "b"]).unwrap();
    assert_eq!((state.holds("a").unwrap(), state.holds("b").unwrap()), (false, false));
}

/// Runs `work` on a copy of the same beginning with the n-th call failing, for every n, and hands the directory as it
/// is after a restart to `check`.
fn with_every_fault(
    before: impl Fn(&StateDirectory),
    work: impl Fn(&StateDirectory) -> Result<(), StoreError>,
    check: impl Fn(&StateDirectory, bool),
) -> u64 {
    let mut faults = 0;
    for errno in [Errno::EIO, Errno::ENOSPC] {
        for after in [AfterFault::Heals, AfterFault::StaysBroken] {
            for n in 1.. {
                let room = room();
                let path = room.path().join("state");
                before(&StateDirectory::open(&path).unwrap());
                let disk = Arc::new(FaultyDisk::new(n, errno, after));
                let done = work(&StateDirectory::open_on(&path, Arc::<FaultyDisk>::clone(&disk)).unwrap());
                let failed = disk.calls() >= n;
                assert_eq!(done.is_err(), failed, "every fault is told: {errno} at call {n}");
                check(&StateDirectory::open(&path).unwrap(), !failed);
                if !failed {
                    break;
                }
                faults += 1;
            }
        }
    }
    faults
}

#[test]
fn every_fault_of_a_replacement_leaves_the_old_or_the_new_contents_whole() {
    let (old, new) = ([b'o'; 5000], [b'n'; 7000]);
    let faults = with_every_fault(
        |state| state.replace("file", &old).unwrap(),
        |state| state.replace("file", &new),
        |state, done| {
            let now = state.read("file", 10_000).unwrap().unwrap();
            assert!(now == new || (!done && now == old));
            state
                .replace("file", b"later")
                .expect("what a fault leaves is no hindrance");
        },
    );
    assert_eq!(faults, 4 * 5, "create, write, sync, rename, sync of the directory");
}

#[test]
fn every_fault_of_a_removal_leaves_the_whole_file_or_none() {
    let faults = with_every_fault(
        |state| state.replace("file", b"old").unwrap(),
        |state| state.remove(&["file"]),
        |state, done| {
            let now = state.read("file", 100).unwrap();
            assert!(now.is_none() || (!done && now.unwrap() == b"old"));
        },
    );
    assert_eq!(faults, 4 * 2);
}
