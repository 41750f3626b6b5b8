//! An order is carried out once: not again while the daemon runs, after a restart, after its time, or with a clock set back;
//! and no failure of the disk makes it two, or keeps one from ending a cut.

use nix::errno::Errno;

use super::*;
use crate::api::RevertRequest;
use crate::store::disk::{AfterFault, FaultyDisk};

fn reason(answer: Result<OrderView, ApiError>) -> String {
    refused(answer, Code::OrderRefused).reason.unwrap()
}

#[test]
fn a_declaration_is_carried_out_once_and_dies_with_the_daemon() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let act = declaration(&mut controller, "open");
    let draft = draw_up(&mut controller, act.clone()).unwrap();
    let unused = draw_up(&mut controller, act).unwrap();
    let again = |controller: &mut Controller, draft: &OrderDraft| {
        reason(hand_in(controller, &draft.order, alice().sign(draft.order.as_bytes())))
    };
    hand_in(&mut controller, &draft.order, alice().sign(draft.order.as_bytes())).unwrap();
    assert_eq!(again(&mut controller, &draft), "spent");
    let by_another = hand_in(&mut controller, &draft.order, carol().sign(draft.order.as_bytes()));
    assert_eq!(
        reason(by_another),
        "spent",
        "an order is told by its challenge, not by who signed it"
    );
    order(&mut controller, end_of("open"), &alice()).unwrap();
    assert_eq!(again(&mut controller, &draft), "spent");
    drop(controller);
    let mut next = start(&bench);
    assert_eq!(again(&mut next, &draft), "spent");
    assert_eq!(
        again(&mut next, &unused),
        "unknown-challenge",
        "a restart forgets what was asked"
    );
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
}

#[test]
fn a_challenge_is_over_by_the_boot_clock_whatever_the_wall_clock_says() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let act = declaration(&mut controller, "open");
    let draft = draw_up(&mut controller, act).unwrap();
    bench.clock.pass(16 * MINUTE_MS);
    bench.clock.jump(-i64::try_from(10 * MINUTE_MS).unwrap());
    let late = hand_in(&mut controller, &draft.order, alice().sign(draft.order.as_bytes()));
    assert_eq!(reason(late), "unknown-challenge");
}

#[test]
fn an_order_to_end_is_good_in_another_boot_and_once_whatever_becomes_of_daemon_and_clock() {
    let mut bench = Bench::idle();
    let mut controller = start(&bench);
    let prepared = draw_up(&mut controller, end_of("open")).unwrap();
    let signature = bob().sign(prepared.order.as_bytes());
    let nothing_there = hand_in(&mut controller, &prepared.order, signature.clone());
    refused(nothing_there, Code::NoSuchEmergency);
    drop(controller);
    bench.clock.reboot(60_000);
    bench.kernel = crate::kernel::sim::ModelKernel::new(bench.baseline.clone());
    let mut controller = start(&bench);
    declared(&mut controller, "open", &alice());
    hand_in(&mut controller, &prepared.order, signature.clone()).unwrap();
    assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
    let replay = |controller: &mut Controller, wanted: &str| {
        let view = declared(controller, "open", &alice());
        assert_eq!(reason(hand_in(controller, &prepared.order, signature.clone())), wanted);
        ask_as(controller, &carrier(), |reply| {
            Command::Revert(view.id, RevertRequest::default(), reply)
        })
        .unwrap();
    };
    replay(&mut controller, "spent");
    drop(controller);
    let mut controller = start(&bench);
    replay(&mut controller, "spent");
    // Its time goes by, it is forgotten, and the clock is set back into its time.
    bench.clock.pass(25 * 60 * MINUTE_MS);
    replay(&mut controller, "expired");
    bench.clock.jump(-i64::try_from(5 * 60 * MINUTE_MS).unwrap());
    let spent = std::fs::read_to_string(bench.state().join("orders.json")).unwrap();
    let challenge = crate::authority::order::Order::read(prepared.order.as_bytes())
        .unwrap()
        .challenge;
    assert!(!spent.contains(&challenge.to_string()), "it is still on the list");
    assert_eq!(reason(hand_in(&mut controller, &prepared.order, signature)), "spent");
}

#[test]
fn a_list_that_is_lost_voids_every_order_from_before() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let prepared = draw_up(&mut controller, end_of("open")).unwrap();
    let signature = bob().sign(prepared.order.as_bytes());
    drop(controller);
    std::fs::write(bench.state().join("orders.json"), "nothing").unwrap();
    bench.clock.pass(MINUTE_MS);
    let mut controller = start(&bench);
    assert!(records(&mut controller).contains(&"state-damaged".to_owned()));
    declared(&mut controller, "open", &alice());
    assert_eq!(reason(hand_in(&mut controller, &prepared.order, signature)), "void");
    order(&mut controller, end_of("open"), &bob()).unwrap();
}

#[test]
fn the_list_of_spent_orders_is_bounded() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let now_ms = controller.now().wall_ms;
    for number in 0..u32::try_from(crate::model::spent::SPENT_MAX).unwrap() {
        let challenge = crate::model::names::Digest::of(&number.to_be_bytes());
        controller.orders.spent.spend(&challenge, now_ms + 1_000, now_ms);
    }
    let act = declaration(&mut controller, "open");
    assert_eq!(reason(order(&mut controller, act.clone(), &alice())), "list-full");
    bench.clock.pass(2_000);
    order(&mut controller, act, &alice()).unwrap();
}

#[test]
fn challenges_that_wait_are_bounded_and_a_flood_of_one_user_costs_only_their_own() {
    let bench = Bench::idle();
    let mut controller = start(&bench);
    let act = declaration(&mut controller, "open");
    let draw_as = |controller: &mut Controller, uid| {
        let new = NewOrder {
            act: act.clone(),
            valid_for_ms: None,
        };
        ask_as(controller, &somebody(uid, &[]), |reply| Command::NewOrder(new, reply))
    };
    let mine = draw_as(&mut controller, 1000).unwrap();
    for _ in 0..100 {
        draw_as(&mut controller, 1001).unwrap();
    }
    for uid in 1002..1008 {
        for _ in 0..8 {
            draw_as(&mut controller, uid).unwrap();
        }
    }
    for _ in 0..7 {
        draw_as(&mut controller, 1008).unwrap();
    }
    refused(draw_as(&mut controller, 1009), Code::Busy);
    hand_in(&mut controller, &mine.order, alice().sign(mine.order.as_bytes())).unwrap();
    bench.clock.pass(16 * MINUTE_MS);
    draw_as(&mut controller, 1009).unwrap();
}

#[test]
fn whichever_call_of_the_disk_fails_an_order_to_cut_is_spent_with_its_records_or_does_nothing() {
    let whole = Arc::new(FaultyDisk::new(u64::MAX, Errno::EIO, AfterFault::Heals));
    let cut_on = |disk: Arc<FaultyDisk>| {
        let bench = Bench::idle();
        drop(start(&bench));
        let mut controller = start_on(&bench, ONE_MORE, disk.clone());
        let act = declaration(&mut controller, "open");
        let draft = draw_up(&mut controller, act).unwrap();
        let before = disk.calls();
        let signature = alice().sign(draft.order.as_bytes());
        let done = hand_in(&mut controller, &draft.order, signature.clone());
        (bench, controller, draft, done, before)
    };
    let (.., started) = cut_on(whole.clone());
    let mut refusals = 0;
    for at in started + 1..=whole.calls() {
        let disk = Arc::new(FaultyDisk::new(at, Errno::ENOSPC, AfterFault::Heals));
        let (bench, mut controller, draft, done, _) = cut_on(disk);
        let signature = alice().sign(draft.order.as_bytes());
        match done {
            Ok(_) => {
                let again = hand_in(&mut controller, &draft.order, signature.clone());
                assert_eq!(reason(again), "spent", "call {at}");
                drop(controller);
                let mut next = start(&bench);
                assert_eq!(
                    reason(hand_in(&mut next, &draft.order, signature)),
                    "spent",
                    "call {at}"
                );
            }
            Err(error) => {
                refusals += 1;
                assert!(
                    matches!(error.code, Code::NoRecord | Code::NoJournal),
                    "call {at}: {error:?}"
                );
                assert_eq!(bench.kernel.state(), bench.baseline, "call {at}");
            }
        }
    }
    assert!(refusals > 10, "only {refusals} faults came before the cut");
}

#[test]
fn an_order_to_end_waits_for_no_disk() {
    let end_on = |disk: Arc<FaultyDisk>| {
        let bench = Bench::idle();
        let mut first = start(&bench);
        let prepared = draw_up(&mut first, end_of("open")).unwrap();
        declared(&mut first, "open", &alice());
        drop(first);
        let mut controller = start_on(&bench, ONE_MORE, disk.clone());
        let before = disk.calls();
        let signature = carol().sign(prepared.order.as_bytes());
        let ended = hand_in(&mut controller, &prepared.order, signature).unwrap();
        assert_eq!(ended.receipts[0].residues, Vec::<String>::new());
        assert_eq!(bench.kernel.state().to_string(), bench.baseline.to_string());
        before
    };
    let before = end_on(Arc::new(FaultyDisk::new(
        u64::MAX,
        Errno::ENOSPC,
        AfterFault::StaysBroken,
    )));
    end_on(Arc::new(FaultyDisk::new(
        before + 1,
        Errno::ENOSPC,
        AfterFault::StaysBroken,
    )));
}
