//! Tables of what follows from what, and laws for any sequence of alerts.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::model::emergency::tests::moment;

const TWO: Demand = Demand {
    sources: 2,
    within_ms: 60_000,
    cool_down_ms: 900_000,
};

fn policy() -> PolicyName {
    "isolate-host".parse().unwrap()
}

fn id(number: u128) -> EmergencyId {
    EmergencyId::new(Uuid::from_u128(number))
}

fn stated(uid: u32) -> Stated {
    Stated {
        source: format!("uid {uid}"),
        reason: "a test".to_owned(),
        incident: None,
        duration_ms: None,
    }
}

fn raise(alerts: &mut Alerts, uid: u32, at_ms: u64) -> Result<Then, Refusal> {
    let taken = alerts.raise(&policy(), uid, stated(uid), &TWO, &moment(at_ms));
    taken.map(|taken| taken.then)
}

/// Two sources raised, and what they called for is held.
fn held() -> Alerts {
    let mut alerts = Alerts::default();
    assert_eq!(
        raise(&mut alerts, 1, 0),
        Ok(Then::Wait {
            more: 1,
            within_ms: 60_000
        })
    );
    assert_eq!(raise(&mut alerts, 2, 59_999), Ok(Then::Declare));
    assert!(alerts.still_call(&policy(), &TWO));
    alerts.hold(&policy(), id(7));
    assert!(!alerts.still_call(&policy(), &TWO));
    alerts
}

fn holders(alerts: &Alerts) -> Vec<&str> {
    alerts.holders(id(7)).collect()
}

#[test]
fn raising_again_neither_counts_twice_nor_lengthens_what_counts() {
    let mut alerts = Alerts::default();
    let wait = |within_ms| Ok(Then::Wait { more: 1, within_ms });
    assert_eq!(raise(&mut alerts, 1, 0), wait(60_000));
    assert_eq!(raise(&mut alerts, 1, 50_000), wait(10_000));
    // The first alert is over by now, so this is another one.
    assert_eq!(raise(&mut alerts, 1, 60_000), wait(60_000));
    assert_eq!(raise(&mut alerts, 2, 120_000), wait(60_000));
    assert_eq!(raise(&mut alerts, 1, 120_001), Ok(Then::Declare));
}

#[test]
fn what_is_held_ends_with_the_last_who_raises_it_and_not_before() {
    let mut alerts = held();
    assert_eq!(raise(&mut alerts, 3, 500_000), Ok(Then::Hold(id(7))));
    assert_eq!(alerts.resolve(&policy(), 1, None), Resolved::Gone);
    assert_eq!(alerts.resolve(&policy(), 1, None), Resolved::Nothing);
    assert_eq!(holders(&alerts), ["uid 2", "uid 3"]);
    assert_eq!(alerts.resolve(&policy(), 2, None), Resolved::Gone);
    assert_eq!(alerts.resolve(&policy(), 3, None), Resolved::Last(id(7)));
    assert!(alerts.end(&policy(), id(7), Some(900_000), &moment(600_000)));
    let cooling = |for_ms| Err(Refusal::Cooling { for_ms });
    assert_eq!(raise(&mut alerts, 1, 600_001), cooling(899_999));
    assert!(raise(&mut alerts, 1, 1_500_000).is_ok());
}

#[test]
fn what_an_operator_took_over_no_alert_ends() {
    let mut alerts = held();
    assert_eq!(alerts.take_over(id(7)), ["uid 1", "uid 2"]);
    assert_eq!(alerts.resolve(&policy(), 1, None), Resolved::Nothing);
    assert!(!alerts.hold_it(id(7)) && alerts.held(&policy()).is_none());
    // Its end cools down as any does; without the policy nobody knows for how long.
    assert!(!alerts.end(&policy(), id(7), None, &moment(1)));
    assert!(alerts.end(&policy(), id(7), Some(10), &moment(1)));
}

#[test]
fn whoever_ends_it_without_the_policy_knows_how_long_nothing_begins() {
    let mut alerts = held();
    assert!(alerts.end(&policy(), id(7), None, &moment(100_000)));
    assert_eq!(
        raise(&mut alerts, 1, 100_000),
        Err(Refusal::Cooling { for_ms: 900_000 })
    );
}

#[test]
fn the_end_of_another_emergency_of_the_policy_leaves_what_alerts_hold() {
    let mut alerts = held();
    assert!(alerts.end(&policy(), id(8), Some(900_000), &moment(100_000)));
    assert_eq!(holders(&alerts), ["uid 1", "uid 2"]);
    assert_eq!(raise(&mut alerts, 3, 100_001), Ok(Then::Hold(id(7))));
}

#[test]
fn what_did_not_begin_waits_on_and_what_is_gone_after_a_restart_has_ended() {
    let mut alerts = held();
    alerts.let_go(id(7));
    assert!(alerts.still_call(&policy(), &TWO));
    let mut alerts = held();
    alerts.settle(&[id(7)], &moment(70_000));
    assert_eq!(alerts, held());
    alerts.settle(&[], &moment(70_000));
    assert_eq!(raise(&mut alerts, 1, 70_000), Err(Refusal::Cooling { for_ms: 900_000 }));
    alerts.note(&moment(969_999));
    assert!(!alerts.is_empty());
    alerts.note(&moment(970_000));
    assert!(alerts.is_empty());
}

#[test]
fn one_source_raises_so_many_and_no_more_and_another_is_not_kept_out() {
    let mut alerts = Alerts::default();
    for at_ms in 0..10 {
        raise(&mut alerts, 1, at_ms).unwrap();
        assert_eq!(alerts.resolve(&policy(), 1, None), Resolved::Gone);
    }
    assert_eq!(raise(&mut alerts, 1, 59_999), Err(Refusal::TooOften));
    assert!(raise(&mut alerts, 2, 59_999).is_ok());
    alerts.resolve(&policy(), 2, None);
    assert!(raise(&mut alerts, 1, 60_000).is_ok());
    assert!(raise(&mut alerts, 1, 60_000).is_ok(), "what is raised is no new alert");
    alerts.resolve(&policy(), 1, None);
    assert_eq!(raise(&mut alerts, 1, 60_000), Err(Refusal::TooOften));
}

#[test]
fn one_source_calls_for_a_declaration_that_is_refused_so_many_times_and_no_more() {
    let mut alerts = Alerts::default();
    raise(&mut alerts, 1, 0).unwrap();
    for at_ms in 0..10 {
        assert_eq!(raise(&mut alerts, 2, at_ms), Ok(Then::Declare));
    }
    assert_eq!(raise(&mut alerts, 2, 10), Err(Refusal::TooOften));
    assert!(alerts.still_call(&policy(), &TWO), "what was raised stays");
}

#[test]
fn what_waits_is_shown_while_it_counts() {
    let mut alerts = Alerts::default();
    raise(&mut alerts, 2, 0).unwrap();
    let now = moment(1_000);
    let shown: Vec<Waiting<'_>> = alerts.waiting(&now).collect();
    assert_eq!(
        (shown[0].sources.as_slice(), shown[0].within_ms),
        (&["uid 2"][..], 59_000)
    );
    assert_eq!(alerts.waiting(&moment(60_000)).count(), 0);
    assert_eq!(held().waiting(&now).count(), 0);
}

#[test]
fn the_disk_gives_back_what_it_took() {
    for mut alerts in [Alerts::default(), held()] {
        alerts.note(&moment(60_000));
        let bytes = serde_json::to_vec(&alerts).unwrap();
        let read: Alerts = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read.policies, alerts.policies);
    }
}

#[test]
fn a_source_with_several_incidents_is_one_source_and_takes_back_each_by_its_name() {
    let of = |incident: &str| Stated {
        incident: Some(incident.to_owned()),
        ..stated(1)
    };
    let mut alerts = Alerts::default();
    for (at_ms, incident, is_new) in [(0, "a", true), (50_000, "b", true), (50_001, "b", false)] {
        let taken = alerts.raise(&policy(), 1, of(incident), &TWO, &moment(at_ms)).unwrap();
        assert!(matches!(taken.then, Then::Wait { more: 1, .. }));
        assert_eq!(taken.is_new, is_new, "{incident}");
    }
    // The second is not over when the first is.
    assert_eq!(raise(&mut alerts, 2, 109_999), Ok(Then::Declare));
    alerts.hold(&policy(), id(7));
    let joined = alerts.raise(&policy(), 1, of("c"), &TWO, &moment(110_000)).unwrap();
    assert_eq!((joined.is_new, joined.then), (true, Then::Hold(id(7))));
    assert_eq!(holders(&alerts), ["uid 1", "uid 2"]);
    assert_eq!(alerts.resolve(&policy(), 1, Some("a")), Resolved::Nothing);
    assert_eq!(alerts.resolve(&policy(), 2, None), Resolved::Gone);
    assert_eq!(alerts.resolve(&policy(), 1, Some("b")), Resolved::Gone);
    assert_eq!(holders(&alerts), ["uid 1"]);
    let mut all_at_once = alerts.clone();
    assert_eq!(alerts.resolve(&policy(), 1, Some("c")), Resolved::Last(id(7)));
    assert_eq!(all_at_once.resolve(&policy(), 1, None), Resolved::Last(id(7)));
}

#[test]
fn one_source_has_so_many_incidents_and_no_more() {
    let mut alerts = held();
    for number in 0..=EACH_MAX {
        let of = Stated {
            incident: Some(number.to_string()),
            ..stated(3)
        };
        let at = moment(100_000 * (number as u64 + 1));
        let taken = alerts.raise(&policy(), 3, of, &TWO, &at);
        assert_eq!(taken.is_ok(), number < EACH_MAX, "{number}: {taken:?}");
    }
    assert_eq!(holders(&alerts).len(), 3);
}

/// What befalls the alerts.
#[derive(Clone, Debug)]
enum Deed {
    /// By whom, for which incident.
    Raise(u32, Option<u8>),
    Resolve(u32, Option<u8>),
    TakeOver,
    /// By a person, or the deadline.
    End,
    Restart,
}

fn deeds() -> impl Strategy<Value = Vec<(u64, Deed)>> {
    let deed = prop_oneof![
        6 => (0_u32..4, prop::option::of(0_u8..2)).prop_map(|(uid, incident)| Deed::Raise(uid, incident)),
        2 => (0_u32..4, prop::option::of(0_u8..2)).prop_map(|(uid, incident)| Deed::Resolve(uid, incident)),
        1 => Just(Deed::TakeOver),
        1 => Just(Deed::End),
        1 => Just(Deed::Restart),
    ];
    prop::collection::vec((0_u64..40_000, deed), 1..80)
}

/// What the laws are held against: everything that was ever raised, and when what was raised lost its weight.
#[derive(Default)]
struct Witness {
    raised: Vec<(u32, Option<u8>, u64)>,
    cooling_until: u64,
}

impl Witness {
    /// So many different sources raised within the window and did not take it back.
    fn raising(&self, demand: &Demand, now: u64) -> usize {
        let valid = |(_, _, at): &&(u32, Option<u8>, u64)| now - at < demand.within_ms;
        let sources: std::collections::BTreeSet<u32> = self.raised.iter().filter(valid).map(|(uid, ..)| *uid).collect();
        sources.len()
    }

    /// Of these sources this incident, or all of them, is taken back.
    fn void(&mut self, uids: impl IntoIterator<Item = u32>, incident: Option<u8>, now: u64) {
        for gone in uids {
            let stays = |uid: u32, of: Option<u8>| uid != gone || (incident.is_some() && of != incident);
            self.raised.retain(|(uid, of, at)| stays(*uid, *of) || *at > now);
        }
    }
}

proptest! {
    #[test]
    fn an_emergency_begins_only_on_the_word_of_enough_sources_within_the_time_and_ends_only_on_that_of_the_last(
        sources in 1_usize..4,
        deeds in deeds(),
    ) {
        let demand = Demand { sources, within_ms: 60_000, cool_down_ms: 120_000 };
        let (mut alerts, mut witness) = (Alerts::default(), Witness::default());
        let (mut now, mut next, mut times) = (1_000_000, 0_u128, BTreeMap::<u32, Vec<u64>>::new());
        for (passes, deed) in deeds {
            now += passes + 1;
            let at = moment(now);
            let before: Vec<String> = alerts.held(&policy()).into_iter()
                .flat_map(|id| alerts.holders(id).map(str::to_owned).collect::<Vec<_>>())
                .collect();
            match deed {
                Deed::Raise(uid, incident) => {
                    let said = Stated { incident: incident.map(|i| i.to_string()), ..stated(uid) };
                    let held = alerts.held(&policy());
                    let taken = alerts.raise(&policy(), uid, said, &demand, &at);
                    prop_assert!(held.is_some() || now >= witness.cooling_until || taken.is_err());
                    let Ok(taken) = taken else { continue };
                    if taken.is_new {
                        witness.raised.push((uid, incident, now));
                        times.entry(uid).or_default().push(now);
                    }
                    prop_assert_eq!(held.is_some(), matches!(taken.then, Then::Hold(_)));
                    if taken.then == Then::Declare {
                        prop_assert!(witness.raising(&demand, now) >= sources);
                        next += 1;
                        alerts.hold(&policy(), id(next));
                    }
                }
                Deed::Resolve(uid, incident) => {
                    let own = format!("uid {uid}");
                    let named = incident.map(|i| i.to_string());
                    match alerts.resolve(&policy(), uid, named.as_deref()) {
                        Resolved::Last(ended) => {
                            prop_assert_eq!(&before, std::slice::from_ref(&own));
                            alerts.end(&policy(), ended, Some(demand.cool_down_ms), &at);
                            witness.cooling_until = now + demand.cool_down_ms;
                        }
                        Resolved::Gone | Resolved::Nothing => {
                            let after: Vec<String> = alerts.held(&policy()).into_iter()
                                .flat_map(|id| alerts.holders(id).map(str::to_owned).collect::<Vec<_>>())
                                .collect();
                            let of_others = |all: Vec<String>| all.into_iter().filter(|source| *source != own).collect::<Vec<_>>();
                            prop_assert_eq!(of_others(after), of_others(before), "one source took another's alert away");
                        }
                    }
                    witness.void([uid], incident, now);
                }
                Deed::TakeOver | Deed::End => {
                    let Some(held) = alerts.held(&policy()) else { continue };
                    if matches!(deed, Deed::TakeOver) {
                        alerts.take_over(held);
                    } else {
                        alerts.end(&policy(), held, Some(demand.cool_down_ms), &at);
                        witness.cooling_until = now + demand.cool_down_ms;
                    }
                    witness.void(0..4, None, now);
                    prop_assert!((0..4).all(|uid| alerts.resolve(&policy(), uid, None) == Resolved::Nothing));
                }
                Deed::Restart => {
                    alerts.note(&at);
                    let rates = std::mem::take(&mut alerts.rates);
                    alerts = serde_json::from_slice(&serde_json::to_vec(&alerts).unwrap()).unwrap();
                    alerts.rates = rates;
                }
            }
        }
        for of_one in times.values() {
            let crowd = of_one.windows(RATE_MAX + 1).find(|w| w[RATE_MAX] - w[0] < RATE_MS);
            prop_assert_eq!(crowd, None, "one source raised too many");
        }
    }
}
