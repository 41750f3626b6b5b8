//! Orders: drawn up to standard output as they are to be signed, handed in from one file or two.

use super::*;

#[test]
fn an_order_goes_to_standard_output_byte_for_byte() {
    let daemon = Daemon::start(Answers::default());
    let outcome = script(
        &daemon,
        &["order", "new", "revert", "isolate-host", "--valid-for", "720h"],
    );
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    assert_eq!(outcome.out, samples::order_draft().order);
    assert!(
        outcome.err.contains("ssh-keygen -Y sign -n order@portcullis"),
        "{outcome:?}"
    );
    let wanted = "NewOrder { act: Revert(Policy(\"isolate-host\")), valid_for_ms: Some(2592000000) }";
    assert_eq!(daemon.heard(), [wanted]);
}

#[test]
fn whoever_has_a_declaration_drawn_up_sees_its_plan_and_the_order_is_over_that_plan() {
    let daemon = Daemon::start(Answers::default());
    let line = [
        "order",
        "new",
        "declare",
        "isolate-host",
        "--reason",
        "worm",
        "--authority",
        "INC-1",
    ];
    let outcome = script(&daemon, &line);
    assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
    assert!(outcome.err.starts_with("Plan for isolate-host\n"), "{outcome:?}");
    assert!(
        daemon.heard()[1].contains(&samples::plan().digest),
        "{:?}",
        daemon.heard()
    );
}

#[test]
fn what_is_to_end_is_named_once() {
    let daemon = Daemon::start(Answers::default());
    for line in [
        &["order", "new", "revert"][..],
        &["order", "new", "revert", "p", "--id", samples::ID],
    ] {
        assert_eq!(script(&daemon, line).exit, Exit::Usage, "{line:?}");
    }
    assert_eq!(daemon.heard(), Vec::<String>::new());
}

#[test]
fn an_order_is_handed_in_with_its_signature_from_one_file_or_two() {
    let folder = tempfile::tempdir().unwrap();
    let (apart, together) = (folder.path().join("a.order"), folder.path().join("b.order"));
    let signature = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n";
    std::fs::write(&apart, "{}\n").unwrap();
    std::fs::write(folder.path().join("a.order.sig"), signature).unwrap();
    std::fs::write(&together, format!("{{}}\n{signature}")).unwrap();
    for path in [apart, together] {
        let daemon = Daemon::start(Answers::default());
        let outcome = script(&daemon, &["order", "submit", path.to_str().unwrap()]);
        assert_eq!(outcome.exit, Exit::Done, "{outcome:?}");
        assert!(
            outcome.out.contains("to revert, signed by alice with SHA256:"),
            "{outcome:?}"
        );
        let wanted = format!(
            "{:?}",
            crate::api::order::SignedOrder {
                order: "{}\n".to_owned(),
                signature: signature.to_owned(),
            }
        );
        assert_eq!(daemon.heard(), [wanted]);
    }
}

#[test]
fn the_exit_code_says_what_came_of_an_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.order");
    std::fs::write(&path, "{}\n-----BEGIN SSH SIGNATURE-----\n").unwrap();
    let with_emergency = |state| OrderView {
        emergency: Some(EmergencyView {
            state,
            ..samples::emergency()
        }),
        receipts: Vec::new(),
        ..samples::order()
    };
    let stuck = OrderView {
        receipts: vec![samples::receipt(), samples::stuck_receipt()],
        ..samples::order()
    };
    let refused = ApiError::new(
        Code::OrderRefused,
        "the order 0123 is refused (spent): it was",
        "have a new one signed",
    );
    for (order, exit) in [
        (Ok(with_emergency(crate::api::EmergencyState::InForce)), Exit::Done),
        (Ok(with_emergency(crate::api::EmergencyState::Proposed)), Exit::Waiting),
        (Ok(stuck), Exit::Partial),
        (Err(refused), Exit::Refused),
    ] {
        let daemon = Daemon::start(Answers {
            order: order.clone(),
            ..Answers::default()
        });
        let outcome = script(&daemon, &["order", "submit", path.to_str().unwrap()]);
        assert_eq!(outcome.exit, exit, "{order:?} {outcome:?}");
    }
}

#[test]
fn what_is_no_order_is_not_signed() {
    let daemon = Daemon::start(Answers::default());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.order");
    for text in ["", "{}", "hello"] {
        std::fs::write(&path, text).unwrap();
        let outcome = script(
            &daemon,
            &["order", "sign", path.to_str().unwrap(), "--key", "/nonexistent"],
        );
        assert_eq!(outcome.exit, Exit::Usage, "{outcome:?}");
    }
}

#[test]
fn whoever_signs_sees_every_field_and_nothing_that_moves_the_cursor() {
    let order = serde_json::json!({"act": {"declare": {"reason": "a\u{1b}[2Jb", "duration_ms": 5}}, "boot": null});
    let wanted = "You are about to sign this order:\n  act.declare.duration_ms: 5\n  act.declare.reason: a\\u{1b}[2Jb\n  boot: null\n";
    assert_eq!(super::super::render::order::order(&order), wanted);
}
