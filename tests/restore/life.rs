//! The life of an emergency: how it ends by itself, who may prolong it, and what is refused.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::host::{Host, lines, text};
use crate::policy::{Scope, policy};
use crate::world::state::{assert_same, state};
use crate::world::topology::Topology;
use crate::world::{self, World, ip, wait_until};

/// A cut ends by its deadline and this much.
const GRACE: Duration = Duration::from_secs(2);
const UNKNOWN: &str = "01936a5e-7c00-7000-8000-000000000000";

fn sealed(world: World) -> (Topology, Host) {
    let net = Topology::host(world);
    let host = Host::start(net.at(), &[policy("both", Scope::Whole, &["gate", "seal"]).file()]);
    (net, host)
}

/// Waits for the end by itself and gives the time since `since`.
#[track_caller]
fn ends_by_itself(net: &Topology, host: &Host, before: &str, since: Instant) -> Duration {
    wait_until("it ends by itself", Duration::from_secs(10), || {
        host.run(&["status", "--check"]).code == 3
    });
    let took = since.elapsed();
    assert_same(before, &state(net.at()));
    took
}

#[test]
fn a_deadline_ends_a_cut() {
    world::inside("life::a_deadline_ends_a_cut", |world| {
        let (net, host) = sealed(world);
        let before = state(net.at());
        let begun = Instant::now();
        let id = text(&host.try_declare("both", &["--for", "3s"]).done()["id"]);
        let took = ends_by_itself(&net, &host, &before, begun);
        assert!(
            took >= Duration::from_secs(3) && took < Duration::from_secs(3) + GRACE,
            "{took:?}"
        );
        eprintln!("a deadline of 3 s: back after {took:?}");
        wait_until("it is recorded", GRACE, || !host.records("restored").is_empty());
        assert_eq!(host.records("deadline-reached").len(), 1);
        assert_eq!(host.revert(&id)["emergency"], id.as_str());
        assert_eq!(host.run(&["status", "--check"]).code, 3);
    });
}

#[test]
fn a_cut_that_nobody_confirms_reverts() {
    world::inside("life::a_cut_that_nobody_confirms_reverts", |world| {
        let (net, host) = sealed(world);
        let before = state(net.at());
        let begun = Instant::now();
        host.try_declare("both", &["--for", "10m", "--confirm-within", "2s"])
            .done();
        let took = ends_by_itself(&net, &host, &before, begun);
        assert!(
            took >= Duration::from_secs(2) && took < Duration::from_secs(2) + GRACE,
            "{took:?}"
        );
        wait_until("it is recorded", GRACE, || {
            !host.records("confirmation-missed").is_empty()
        });

        let id = text(
            &host
                .try_declare("both", &["--for", "10m", "--confirm-within", "2s"])
                .done()["id"],
        );
        let confirmed = host.run(&["confirm", &id]).done();
        assert_eq!(confirmed["confirm_within_ms"], Value::Null);
        let until = Instant::now() + Duration::from_millis(2_500);
        wait_until("the window is over", GRACE * 2, || Instant::now() > until);
        assert_eq!(host.run(&["status", "--check"]).code, 0);
        assert_eq!(host.run(&["confirm", &id]).done()["id"], confirmed["id"], "already so");
        host.revert(&id);
        assert_eq!(host.run(&["confirm", &id]).refused(3), "wrong-state");
        assert_same(&before, &state(net.at()));
    });
}

#[test]
fn an_emergency_is_prolonged_within_its_cap() {
    world::inside("life::an_emergency_is_prolonged_within_its_cap", |world| {
        let (net, host) = sealed(world);
        let before = state(net.at());
        assert_eq!(host.try_declare("both", &["--for", "31m"]).refused(5), "over-limit");
        let id = text(&host.try_declare("both", &["--for", "20m"]).done()["id"]);
        let longer = host.run(&["extend", &id, "--by", "40m"]).done();
        assert!(longer["remaining_ms"].as_u64().unwrap() > 59 * 60_000, "{longer:#}");
        assert_eq!(host.run(&["extend", &id, "--by", "1s"]).refused(5), "over-limit");
        host.revert(&id);
        assert_eq!(host.run(&["extend", &id, "--by", "1s"]).refused(3), "wrong-state");
        assert_same(&before, &state(net.at()));
    });
}

#[test]
fn an_end_can_be_asked_for_again() {
    world::inside("life::an_end_can_be_asked_for_again", |world| {
        let (_net, host) = sealed(world);
        assert_eq!(host.run(&["revert"]).refused(3), "nothing-in-force");
        assert_eq!(host.run(&["revert", UNKNOWN]).refused(3), "no-such-emergency");
        let id = host.declare("both");
        let receipt = host.revert(&id);
        assert_eq!(host.revert(&id), receipt);
    });
}

#[test]
fn a_plan_that_nobody_has_seen_is_refused() {
    world::inside("life::a_plan_that_nobody_has_seen_is_refused", |world| {
        let (net, host) = sealed(world);
        let seen = text(&host.run(&["plan", "both"]).done()["digest"]);
        ip(net.at(), "route add 10.55.0.0/16 via 10.0.0.77");
        let before = state(net.at());
        assert_eq!(host.try_declare("both", &["--plan", &seen]).refused(5), "plan-changed");
        assert_same(&before, &state(net.at()));
        let seen = text(&host.run(&["plan", "both"]).done()["digest"]);
        let id = text(&host.try_declare("both", &["--plan", &seen]).done()["id"]);
        host.revert(&id);
        assert_same(&before, &state(net.at()));
    });
}

#[test]
fn whoever_would_lock_themselves_out_must_say_so() {
    world::inside("life::whoever_would_lock_themselves_out_must_say_so", |world| {
        let (net, host) = sealed(world);
        let before = state(net.at());
        let declare = [
            "declare",
            "both",
            "--reason",
            "a test",
            "--authority",
            "its author",
            "--yes",
        ];
        let session = Some("10.0.2.2 50022 10.0.0.2 22");
        assert_eq!(host.run_from(&declare, session).refused(2), "risk-not-accepted");
        assert_same(&before, &state(net.at()));
        let accepted: Vec<&str> = declare.into_iter().chain(["--accept-risk", "lose-session"]).collect();
        let id = text(&host.run_from(&accepted, session).done()["id"]);
        host.revert(&id);
        assert_same(&before, &state(net.at()));
    });
}

#[test]
fn a_request_that_is_repeated_is_done_once() {
    world::inside("life::a_request_that_is_repeated_is_done_once", |world| {
        let (_net, host) = sealed(world);
        let body = r#"{"policy":"both","reason":"a test","authority":"its author"}"#;
        let other = r#"{"policy":"both","reason":"another","authority":"its author"}"#;
        let first = host.post("/v1/emergencies", "key-1", body);
        let again = host.post("/v1/emergencies", "key-1", body);
        assert_eq!(first["id"], again["id"], "{first:#}\n{again:#}");
        assert_eq!(host.post("/v1/emergencies", "key-1", other)["code"], "key-reused");
        let status = host.status();
        assert_eq!(status["emergencies"].as_array().unwrap().len(), 1, "{status:#}");
        assert_eq!(host.records("declared").len(), 1);
        let receipt = host.revert(&text(&first["id"]));
        assert_eq!(lines(&receipt["conflicts"]), Vec::<String>::new());
    });
}
