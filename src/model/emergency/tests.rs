//! Every pair of state and event, and the arithmetic of deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::cut::Reach;
use crate::model::policy::{FailDirection, Keep};

const STATES: [State; 6] = [
    State::Applying,
    State::InForce,
    State::Degraded,
    State::Restoring,
    State::Ended,
    State::Stuck,
];

const EVENTS: [Event; 13] = [
    Event::Applied,
    Event::ApplyFailed,
    Event::Drifted,
    Event::Mended,
    Event::Confirmed,
    Event::Extended { by_ms: 1 },
    Event::RevertRequested,
    Event::Due,
    Event::ConfirmationDue,
    Event::Restored,
    Event::LeftResidue,
    Event::ResidueAccepted,
    Event::Restarted,
];

/// The table of the module's picture: `-` is refused, `!` asks for enforcing, `<` for restoring.
const TABLE: &str = "
             applied failed drifted mended confirmed extended revert due unconfirmed restored residue accepted restarted
applying     F       R<     -       -      -         -        R<     R<  R<          -        -       -        A!
in-force     -       -      D!      -      F         F        R<     R<  R<          -        -       -        A!
degraded     -       -      D!      F      D         D        R<     R<  R<          -        -       -        A!
restoring    -       -      -       -      -         -        R      R   R           E        S       -        R<
ended        -       -      -       -      -         -        -      -   -           -        -       -        -
stuck        -       -      -       -      -         -        R<     -   -           -        -       E        R<
";

pub(crate) fn moment(boottime_ms: u64) -> Moment {
    Moment {
        boot_id: "boot-1".to_owned(),
        boottime_ms,
        wall_ms: 1_790_000_000_000 + i64::try_from(boottime_ms).unwrap(),
    }
}

fn emergency(state: State) -> Emergency {
    Emergency {
        id: EmergencyId::new(Uuid::nil()),
        policy: "isolate-host".parse().unwrap(),
        declaration: Declaration {
            occasion: Occasion::Exercise,
            reason: "a table test".to_owned(),
            authority: "none".to_owned(),
            declared_by: "uid 0".to_owned(),
            approved_by: Vec::new(),
            break_glass: false,
            raised_by: Vec::new(),
        },
        affects: Affects::OwnHosts,
        notice: "a test".to_owned(),
        limits: Limits {
            default: Duration::from_secs(10),
            maximum: Duration::from_secs(20),
            total: Duration::from_secs(30),
            confirm_within: None,
        },
        fail: FailDirections {
            crash: FailDirection::Closed,
            reboot: FailDirection::Open,
            lifeline_lost: FailDirection::Open,
        },
        cut: Cut {
            policy: "isolate-host".parse().unwrap(),
            methods: BTreeSet::new(),
            families: BTreeSet::new(),
            directions: BTreeSet::new(),
            reach: Reach::Links,
            links: BTreeMap::new(),
            zones: Vec::new(),
            withdrawn: Vec::new(),
            null_prefixes: Vec::new(),
            lifelines: Vec::new(),
            next_hops: BTreeSet::new(),
            keep: Keep::default(),
        },
        plan_digest: Digest::zero(),
        state,
        deadline: Deadline::after(moment(1_000), 10_000),
        confirm_by: Some(Deadline::after(moment(1_000), 2_000)),
    }
}

fn cell(state: State, event: Event) -> String {
    let mut e = emergency(state);
    let Ok(effect) = e.on(event) else {
        assert_eq!(e, emergency(state), "a refused event changes nothing");
        return "-".to_owned();
    };
    let letter = match e.state {
        State::Applying => "A",
        State::InForce => "F",
        State::Degraded => "D",
        State::Restoring => "R",
        State::Ended => "E",
        State::Stuck => "S",
    };
    let mark = match effect {
        Some(Effect::Enforce) => "!",
        Some(Effect::Restore) => "<",
        None => "",
    };
    format!("{letter}{mark}")
}

#[test]
fn every_pair_of_state_and_event_is_as_the_table_says() {
    let rows: Vec<Vec<&str>> = TABLE
        .lines()
        .filter(|l| !l.trim().is_empty())
        .skip(1)
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), STATES.len());
    for (row, state) in rows.iter().zip(STATES) {
        assert_eq!(row[0], state.word());
        assert_eq!(row.len(), EVENTS.len() + 1);
        for (expected, event) in row[1..].iter().zip(EVENTS) {
            assert_eq!(cell(state, event), *expected, "{state:?} on {event:?}");
        }
    }
}

#[test]
fn a_confirmation_is_wanted_once() {
    let mut e = emergency(State::InForce);
    assert_eq!(e.due(&moment(3_000)), Some(Event::ConfirmationDue));
    e.on(Event::Confirmed).unwrap();
    assert_eq!(e.due(&moment(3_000)), None);
    assert_eq!(e.on(Event::Confirmed), Err(Refusal::NothingToConfirm));
}

#[test]
fn extensions_stop_at_the_cap_and_change_nothing_beyond_it() {
    let mut e = emergency(State::InForce);
    e.on(Event::Extended { by_ms: 20_000 }).unwrap();
    assert_eq!(e.deadline.after_ms, 30_000);
    let over = Refusal::OverCap {
        total_ms: 30_000,
        used_ms: 30_000,
        asked_ms: 1,
    };
    assert_eq!(e.on(Event::Extended { by_ms: 1 }), Err(over));
    assert_eq!(e.deadline.after_ms, 30_000);
}

#[test]
fn an_emergency_that_is_not_held_is_never_due() {
    for state in [State::Restoring, State::Ended, State::Stuck] {
        assert_eq!(emergency(state).due(&moment(1_000_000)), None);
    }
}

#[test]
fn a_wall_clock_that_went_back_over_a_reboot_ends_the_cut() {
    let deadline = Deadline::after(moment(1_000), 10_000);
    let in_1970 = Moment {
        boot_id: "boot-2".to_owned(),
        boottime_ms: 5,
        wall_ms: 5,
    };
    assert_eq!(deadline.remaining_ms(&in_1970), 0);
}

proptest! {
    #[test]
    fn no_wall_clock_lengthens_a_cut_within_a_boot(passed in 0_u64..20_000, wall in any::<i64>()) {
        let deadline = Deadline::after(moment(1_000), 10_000);
        let now = Moment { wall_ms: wall, ..moment(1_000 + passed) };
        prop_assert_eq!(deadline.remaining_ms(&now), 10_000_u64.saturating_sub(passed));
    }

    #[test]
    fn over_a_reboot_no_clock_leaves_more_than_the_whole_time_less_the_uptime(uptime in 0_u64..20_000, wall in any::<i64>()) {
        let deadline = Deadline::after(moment(1_000), 10_000);
        let now = Moment { boot_id: "boot-2".to_owned(), boottime_ms: uptime, wall_ms: wall };
        prop_assert!(deadline.remaining_ms(&now) <= 10_000_u64.saturating_sub(uptime));
    }

    #[test]
    fn no_clock_lengthens_a_cut_by_more_than_was_not_written_down(
        noted in 0_u64..10_000, unnoted in 0_u64..5_000, off in 0_u64..5_000, uptime in 0_u64..5_000, back in 0_i64..30_000,
    ) {
        let mut deadline = Deadline::after(moment(1_000), 20_000);
        deadline.note(&moment(1_000 + noted));
        let truly = noted + unnoted + off + uptime;
        let wall_ms = moment(1_000 + truly).wall_ms - back;
        let now = Moment { boot_id: "boot-2".to_owned(), boottime_ms: uptime, wall_ms };
        let believed = 20_000 - deadline.remaining_ms(&now);
        prop_assert!(believed >= noted + uptime);
        // From then on this boot's clock counts, whatever the wall clock says.
        deadline.note(&now);
        let remaining = deadline.remaining_ms(&now);
        let later = Moment { boottime_ms: uptime + 500, wall_ms: wall_ms - 100, ..now };
        prop_assert!(deadline.remaining_ms(&later) <= remaining.saturating_sub(500));
    }
}
