use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;

use super::*;
use crate::model::cut::{Cut, Lifeline, Reach};
use crate::model::emergency::{Deadline, Declaration, Moment};
use crate::model::object::{Family, Link, Route, Rule, Volatile};
use crate::model::policy::{
    Affects, Direction, FailDirection, FailDirections, Keep, Limits, Method, Occasion, PortRange, Transport,
};
use crate::store::disk::{AfterFault, FaultyDisk};
use crate::store::power::{ForgetfulDisk, Outlasts};

fn room() -> (tempfile::TempDir, StateDirectory) {
    let room = tempfile::tempdir().unwrap();
    let state = StateDirectory::open(room.path().join("state")).unwrap();
    (room, state)
}

fn route() -> Route {
    Route {
        family: Family::V4,
        destination: "0.0.0.0/0".parse().unwrap(),
        source: None,
        tos: 0,
        table: Route::TABLE_MAIN,
        protocol: 16,
        scope: 0,
        kind: Route::UNICAST,
        flags: 0,
        metric: 100,
        link: Some(2),
        gateway: Some("192.0.2.1".parse().unwrap()),
        preferred_source: None,
        nexthop: None,
        hops: Vec::new(),
        metrics: BTreeMap::from([(2, vec![0xdc, 5, 0, 0])]),
        expires_s: Volatile(Some(1800)),
        extra: BTreeMap::from([(20, vec![1])]),
    }
}

fn cut() -> Cut {
    Cut {
        policy: "uplink-off".parse().unwrap(),
        methods: BTreeSet::from([Method::Gate, Method::Routes]),
        families: BTreeSet::from(Family::BOTH),
        directions: BTreeSet::from([Direction::In, Direction::Out, Direction::Forward]),
        reach: Reach::Links,
        links: BTreeMap::from([(2, "uplink\\x01".parse().unwrap())]),
        zones: Vec::new(),
        withdrawn: vec![route()],
        null_prefixes: vec!["2001:db8::/32".parse().unwrap()],
        lifelines: vec![Lifeline {
            name: "consoles".to_owned(),
            peers: vec!["198.51.100.0/24".parse().unwrap()],
            protocol: Transport::Tcp,
            ports: vec![PortRange { first: 22, last: 22 }],
            direction: Direction::In,
            inside: Vec::new(),
            link: Some((2, "uplink".parse().unwrap())),
            carries: BTreeSet::new(),
        }],
        next_hops: BTreeSet::from([(2, "192.0.2.1".parse().unwrap())]),
        keep: Keep {
            dhcp: true,
            router_advertisements: false,
        },
    }
}

fn emergency(state: State) -> Emergency {
    let set_at = Moment {
        boot_id: "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d".to_owned(),
        boottime_ms: 4_242_000,
        wall_ms: 1_700_000_000_000,
    };
    let closed = FailDirection::Closed;
    Emergency {
        id: "018f8b7e-0000-7000-8000-000000000001".parse().unwrap(),
        policy: "uplink-off".parse().unwrap(),
        declaration: Declaration {
            occasion: Occasion::SecurityIncident,
            reason: "worm on the\u{1b}[1m gateway\n".to_owned(),
            authority: "ticket 4711".to_owned(),
            declared_by: "ada (uid 1000)".to_owned(),
            approved_by: Vec::new(),
            break_glass: false,
            raised_by: Vec::new(),
        },
        affects: Affects::OwnHosts,
        notice: "The uplink is off until noon.".to_owned(),
        limits: Limits {
            default: Duration::from_secs(3600),
            maximum: Duration::from_secs(7200),
            total: Duration::from_secs(86_400),
            confirm_within: Some(Duration::from_millis(1500)),
        },
        fail: FailDirections {
            crash: closed,
            reboot: FailDirection::Open,
            lifeline_lost: closed,
        },
        cut: cut(),
        plan_digest: Digest::of(b"plan"),
        state,
        deadline: Deadline::after(set_at.clone(), 3_600_000),
        confirm_by: Some(Deadline::after(set_at, 1500)),
    }
}

fn contents(state: State) -> JournalContents {
    let head = Head {
        sequence: 42,
        hash: Digest::of(b"record"),
    };
    JournalContents::new("boot-1", vec![emergency(state)], Some(head))
}

fn baseline() -> Snapshot {
    Snapshot {
        links: vec![Link {
            index: 2,
            name: "uplink".parse().unwrap(),
            kind: Some("veth".to_owned()),
            up: true,
            flags: 0x1002,
            carrier: Volatile(true),
            mtu: 1500,
            master: None,
            lower: Some(1),
            lower_abroad: None,
            mac: vec![2, 0, 0, 0, 0, 1],
            altnames: vec!["wan".parse().unwrap()],
            group: 0,
        }],
        routes: vec![route()],
        rules: Family::BOTH.map(Rule::local).to_vec(),
        ..Snapshot::default()
    }
}

#[test]
fn nothing_held_is_not_an_error() {
    let (_room, state) = room();
    assert!(load(&state).unwrap().is_none());
}

#[test]
fn what_was_saved_is_recovered_and_clearing_leaves_nothing() {
    let (room, state) = room();
    save_baseline(&state, &baseline()).unwrap();
    assert!(
        load(&state).unwrap().is_none(),
        "a baseline alone means that nothing was held yet"
    );
    save_baseline(&state, &baseline()).expect("a baseline that nobody needs may be replaced");
    save(&state, &contents(State::Applying)).unwrap();
    save(&state, &contents(State::InForce)).unwrap();

    let found = load(&state).unwrap().unwrap();
    assert_eq!(found.contents, contents(State::InForce));
    let snapshot = found.baseline.unwrap();
    assert_eq!(snapshot, baseline());
    assert_eq!(
        snapshot.routes[0].expires_s.0,
        Some(1800),
        "what is volatile is kept as well"
    );
    assert!(found.damage.is_empty());

    clear(&state, &contents(State::Ended)).unwrap();
    assert!(load(&state).unwrap().is_none());
    let left: Vec<_> = fs::read_dir(room.path().join("state"))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn a_baseline_is_neither_replaced_nor_removed_while_it_is_needed() {
    let (_room, state) = room();
    save_baseline(&state, &baseline()).unwrap();
    save(&state, &contents(State::InForce)).unwrap();
    let replaced = save_baseline(&state, &Snapshot::default());
    assert!(matches!(
        replaced,
        Err(StoreError::BaselineHeld {
            attempted: "replace",
            ..
        })
    ));
    for held in [
        State::Applying,
        State::InForce,
        State::Degraded,
        State::Restoring,
        State::Stuck,
    ] {
        let cleared = clear(&state, &contents(held));
        assert!(
            matches!(
                cleared,
                Err(StoreError::BaselineHeld {
                    attempted: "remove",
                    ..
                })
            ),
            "{held:?}"
        );
    }
    assert_eq!(load(&state).unwrap().unwrap().baseline.unwrap(), baseline());
}

#[test]
fn one_intact_copy_of_the_baseline_is_enough_and_the_other_is_named() {
    for (hurt, other) in [(0, 1), (1, 0)] {
        for damage in [None, Some(&b"portcullis-journal 1 2 {}"[..]), Some(b"")] {
            let (room, state) = room();
            let at = |i: usize| room.path().join("state").join(BASELINES[i]);
            save_baseline(&state, &baseline()).unwrap();
            save(&state, &contents(State::InForce)).unwrap();
            let hurt_it = |i: usize| match damage {
                Some(bytes) => fs::write(at(i), bytes).unwrap(),
                None => fs::remove_file(at(i)).unwrap(),
            };
            hurt_it(hurt);
            let found = load(&state).unwrap().unwrap();
            assert_eq!(found.baseline, Some(baseline()));
            assert!(matches!(&found.damage[..], [StoreError::Damaged { path, .. }] if *path == at(hurt)));

            hurt_it(other);
            let found = load(&state).unwrap().unwrap();
            assert_eq!((found.contents, found.baseline), (contents(State::InForce), None));
            assert_eq!(found.damage.len(), 2);
        }
    }
}

fn assert_named(result: Result<Option<Recovered>, StoreError>, path: &Path, what: &str) {
    match result {
        Err(StoreError::Damaged { path: named, .. } | StoreError::UnknownVersion { path: named, .. }) => {
            assert_eq!(named, path, "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn a_journal_with_any_byte_changed_or_cut_off_is_an_error_that_names_it() {
    let (room, state) = room();
    save(&state, &contents(State::InForce)).unwrap();
    let path = room.path().join("state").join(JOURNAL);
    let intact = fs::read(&path).unwrap();
    for at in 0..intact.len() {
        let mut changed = intact.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        assert_named(load(&state), &path, &format!("byte {at}"));
        fs::write(&path, &intact[..at]).unwrap();
        assert_named(load(&state), &path, &format!("cut at {at}"));
    }
    fs::write(&path, [&intact[..], b"x"].concat()).unwrap();
    assert_named(load(&state), &path, "a byte too many");
}

#[test]
fn a_later_version_is_refused_by_its_number() {
    let (room, state) = room();
    let path = room.path().join("state").join(JOURNAL);
    fs::write(&path, "portcullis-journal 2 whatever comes then\n").unwrap();
    let error = load(&state).unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownVersion { found: 2, known: 1, .. }),
        "{error}"
    );

    let later = JournalContents {
        version: 7,
        ..contents(State::InForce)
    };
    save(&state, &later).unwrap();
    let error = load(&state).unwrap_err();
    assert!(
        matches!(error, StoreError::UnknownVersion { found: 7, known: 1, .. }),
        "{error}"
    );
}

/// What a daemon does from the first declaration to the end, stopping at the first error.
fn life(state: &StateDirectory) -> Result<(), StoreError> {
    save_baseline(state, &baseline())?;
    save(state, &contents(State::Applying))?;
    save(state, &contents(State::InForce))?;
    clear(state, &contents(State::Ended))
}

#[test]
fn whatever_call_fails_a_journal_is_never_found_without_its_baseline() {
    let mut held = 0;
    for after in [AfterFault::Heals, AfterFault::StaysBroken] {
        for n in 1.. {
            let room = tempfile::tempdir().unwrap();
            let path = room.path().join("state");
            let disk = Arc::new(FaultyDisk::new(n, Errno::EIO, after));
            let done = life(&StateDirectory::open_on(&path, Arc::<FaultyDisk>::clone(&disk)).unwrap());
            assert_eq!(done.is_err(), disk.calls() >= n, "call {n}");
            let state = StateDirectory::open(&path).unwrap();
            if let Some(found) = load(&state).unwrap() {
                assert_eq!(found.baseline, Some(baseline()), "call {n}");
                assert!(found.damage.is_empty());
                held += 1;
            }
            if done.is_ok() {
                break;
            }
        }
    }
    assert!(held > 10, "the faults fall where something is held: {held}");
}

/// The bytes of version 1 as files, read for ever.
#[test]
fn the_golden_journal_of_version_1_is_read_and_is_what_is_written_today() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/journal/v1");
    let (room, state) = room();
    save_baseline(&state, &baseline()).unwrap();
    save(&state, &contents(State::InForce)).unwrap();
    let names = [JOURNAL, BASELINES[0], BASELINES[1]];
    for name in names {
        let today = fs::read(room.path().join("state").join(name)).unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(golden.join(name), &today).unwrap();
        }
        let kept = fs::read(golden.join(name)).unwrap();
        assert_eq!(
            String::from_utf8(kept).unwrap(),
            String::from_utf8(today).unwrap(),
            "{name}"
        );
    }
    clear(&state, &contents(State::Ended)).unwrap();
    for name in names {
        state.replace(name, &fs::read(golden.join(name)).unwrap()).unwrap();
    }
    let found = load(&state).unwrap().unwrap();
    assert_eq!(
        (found.contents, found.baseline),
        (contents(State::InForce), Some(baseline()))
    );
}

#[test]
fn a_power_cut_at_any_call_leaves_what_was_acknowledged() {
    for outlasts in Outlasts::ALL {
        for n in 1.. {
            let room = tempfile::tempdir().unwrap();
            let path = room.path().join("state");
            drop(StateDirectory::open(&path).unwrap());
            let disk = ForgetfulDisk::new(&path, n, 0);
            let directory = StateDirectory::open_on(&path, Arc::<ForgetfulDisk>::clone(&disk)).unwrap();
            let acknowledged = [State::Applying, State::InForce].map(|state| {
                let begun = state == State::InForce || save_baseline(&directory, &baseline()).is_ok();
                begun && save(&directory, &contents(state)).is_ok()
            });
            let cleared = acknowledged[1] && clear(&directory, &contents(State::Ended)).is_ok();
            drop(directory);
            disk.cut_power(outlasts);

            let what = format!("{outlasts:?}, call {n}");
            let found = load(&StateDirectory::open(&path).unwrap()).unwrap();
            if cleared {
                assert!(found.is_none(), "{what}: what has ended must not come back");
            }
            match (acknowledged, found) {
                (_, Some(found)) => {
                    assert_eq!(found.baseline, Some(baseline()), "{what}");
                    assert!(found.damage.is_empty(), "{what}");
                    if acknowledged[1] {
                        assert_eq!(found.contents, contents(State::InForce), "{what}");
                    }
                }
                // Only the beginning of `clear` takes an acknowledged journal away.
                ([false, _] | [_, true], None) => {}
                ([true, false], None) => panic!("{what}: an acknowledged journal is lost"),
            }
            if !disk.died() {
                break;
            }
        }
    }
}

#[test]
fn a_call_that_fails_for_a_moment_is_no_damage_and_one_that_goes_on_failing_is_told() {
    let io = || StoreError::Io {
        attempted: "open",
        path: "journal.json".into(),
        source: std::io::Error::from_raw_os_error(nix::errno::Errno::EIO as i32),
    };
    for failures in 0..READ_TRIES {
        let mut left = failures;
        let read = patiently(|| match left {
            0 => Ok(()),
            _ => {
                left -= 1;
                Err(io())
            }
        });
        assert!(read.is_ok(), "{failures} failures");
    }
    let mut tries = 0;
    let read = patiently(|| -> Result<(), StoreError> {
        tries += 1;
        Err(io())
    });
    assert!(matches!(read, Err(StoreError::Io { .. })));
    assert_eq!(tries, READ_TRIES);
}
