//! Cuts that one person declares without the approval that the policy demands.

use nix::errno::Errno;

use super::authority::{ask_as, controller, policies, somebody};
use super::proposing::{ONE_MORE, approve, declare_as, records};
use super::{Arc, Bench, Controller, DEFAULT_MS, MINUTE_MS, refused, request};
use crate::api::error::{ApiError, Code};
use crate::api::{EmergencyState, EmergencyView, RevertRequest, ReviewView};
use crate::daemon::command::{Command, Peer, Preconditions};
use crate::store::disk::{AfterFault, FaultyDisk};

const GLASS: &str = "[approval]\npeople = 1\nbreak-glass = \"10m\"\n";

fn alice() -> Peer {
    somebody(1000, &[])
}

fn bob() -> Peer {
    somebody(1001, &[])
}

fn break_glass(controller: &mut Controller, peer: &Peer, policy: &str) -> Result<EmergencyView, ApiError> {
    let mut request = request(policy);
    request.break_glass = true;
    ask_as(controller, peer, |reply| {
        Command::Declare(request, Preconditions::default(), reply)
    })
}

fn open(controller: &mut Controller) -> Vec<ReviewView> {
    let reviews = ask_as(controller, &bob(), Command::Reviews).unwrap();
    assert_eq!(ask_as(controller, &bob(), Command::Status).unwrap().reviews, reviews);
    reviews
}

fn close(controller: &mut Controller, peer: &Peer, id: &str) -> Result<ReviewView, ApiError> {
    let (id, finding) = (id.to_owned(), "it was needed".to_owned());
    ask_as(controller, peer, |reply| Command::CloseReview(id, finding, reply))
}

fn revert(controller: &mut Controller, id: &str) {
    let id = id.to_owned();
    let receipt = ask_as(controller, &alice(), |reply| {
        Command::Revert(id, RevertRequest::default(), reply)
    })
    .unwrap();
    assert_eq!(receipt.residues, Vec::<String>::new());
}

#[test]
fn one_person_alone_cuts_at_once_and_shortly_and_another_one_reviews_it() {
    let bench = Bench::idle();
    let mut first = controller(&bench, "many", GLASS);
    let view = break_glass(&mut first, &alice(), "many").unwrap();
    assert_eq!(view.state, EmergencyState::InForce);
    assert!(view.break_glass && view.approved_by.is_empty());
    assert!(
        view.notice.starts_with("Declared by one person alone"),
        "{}",
        view.notice
    );
    assert_eq!(view.remaining_ms, 10 * MINUTE_MS);
    assert_ne!(bench.kernel.state(), bench.baseline);
    let longer = ask_as(&mut first, &alice(), |reply| {
        Command::Extend(view.id.clone(), 1, Preconditions::default(), reply)
    });
    refused(longer, Code::OverLimit);
    revert(&mut first, &view.id);
    drop(first);

    let mut next = controller(&bench, "many", GLASS);
    let reviews = open(&mut next);
    assert_eq!((reviews.len(), reviews[0].id.as_str()), (1, view.id.as_str()));
    for peer in [alice(), bob()] {
        refused(break_glass(&mut next, &peer, "many"), Code::ReviewOpen);
    }
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    let mut as_root = somebody(0, &[]);
    as_root.process.login_uid = Some(1000);
    for peer in [alice(), as_root] {
        refused(close(&mut next, &peer, &view.id), Code::SamePerson);
    }
    assert_eq!(close(&mut next, &bob(), &view.id).unwrap(), reviews[0]);
    assert_eq!(open(&mut next), []);
    refused(close(&mut next, &bob(), &view.id), Code::NoSuchEmergency);
    let wanted = [
        "review-opened",
        "declared",
        "in-force",
        "request-refused",
        "revert-requested",
        "restored",
        "request-refused",
        "request-refused",
        "request-refused",
        "request-refused",
        "review-closed",
        "request-refused",
    ];
    assert_eq!(records(&mut next), wanted);
    assert!(!bench.holds("reviews.json"));
    break_glass(&mut next, &alice(), "many").unwrap();
}

#[test]
fn while_a_review_is_open_two_people_still_decide() {
    let bench = Bench::idle();
    let mut controller = controller(&bench, "many", GLASS);
    let alone = break_glass(&mut controller, &alice(), "many").unwrap();
    revert(&mut controller, &alone.id);
    let proposed = declare_as(&mut controller, &alice(), "many").unwrap();
    assert_eq!(proposed.state, EmergencyState::Proposed);
    let agreed = approve(&mut controller, &bob(), &proposed).unwrap();
    assert_eq!(
        (agreed.state, agreed.remaining_ms),
        (EmergencyState::InForce, DEFAULT_MS)
    );
    assert!(!agreed.break_glass);
}

#[test]
fn nobody_cuts_alone_where_the_policy_does_not_say_so() {
    for (policy, code) in [("many", Code::Forbidden), ("open", Code::BadRequest)] {
        let bench = Bench::idle();
        let mut controller = controller(&bench, "many", ONE_MORE);
        refused(break_glass(&mut controller, &alice(), policy), code);
        assert_eq!(bench.kernel.state(), bench.baseline);
        assert_eq!(open(&mut controller), []);
    }
}

#[test]
fn whichever_call_of_the_disk_fails_no_cut_without_approval_is_without_its_review() {
    let whole = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
    let on = |disk: Arc<FaultyDisk>| {
        let bench = Bench::idle();
        let mut controller = bench.start_under(policies("many", GLASS), disk.clone());
        let started = disk.calls();
        let answer = break_glass(&mut controller, &alice(), "many");
        (bench, controller, answer, started)
    };
    let (.., started) = on(whole.clone());
    let mut refusals = 0;
    for at in started + 1..=whole.calls() {
        for after in [AfterFault::Heals, AfterFault::StaysBroken] {
            let context = format!("call {at} fails, {after:?}");
            let (bench, mut running, answer, _) = on(Arc::new(FaultyDisk::new(at, Errno::EIO, after)));
            if answer.is_err() {
                refusals += 1;
                assert_eq!(bench.kernel.state(), bench.baseline, "{context}");
                assert_eq!(
                    open(&mut running),
                    [],
                    "{context}: nothing was cut, and a review is open"
                );
            }
            drop(running);
            let mut next = controller(&bench, "many", GLASS);
            let is_cut = bench.kernel.state() != bench.baseline;
            assert!(is_cut || answer.is_err(), "{context}");
            assert!(!is_cut || open(&mut next).len() == 1, "{context}: a cut, and no review");
        }
    }
    assert!(refusals > 10, "only {refusals} faults came before the cut");
}
