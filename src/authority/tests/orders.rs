//! The document: one way to write it, and every way in which it is not for this host and hour.

use std::collections::BTreeSet;

use super::{NOW, declaration, here, order, revert};
use crate::authority::Refusal;
use crate::authority::order::{Here, ORDER_MAX_BYTES, Order};

#[test]
fn an_order_reads_as_it_was_written() {
    for act in [declaration(), revert()] {
        let order = order(act);
        assert_eq!(Order::read(&order.to_bytes().unwrap()), Ok(order));
    }
    let text = String::from_utf8(order(revert()).to_bytes().unwrap()).unwrap();
    let wanted = "{\"act\":{\"revert\":{\"policy\":\"isolate-host\"}},\"boot\":\"boot-1\",\"challenge\":\"";
    assert!(text.starts_with(wanted) && text.ends_with("\"version\":1}\n"), "{text}");
}

#[test]
fn an_order_written_in_any_other_way_is_none() {
    let text = String::from_utf8(order(declaration()).to_bytes().unwrap()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    let cases = [
        (Refusal::OrderTooLong, with("ransomware", &"r".repeat(ORDER_MAX_BYTES))),
        (Refusal::OrderMalformed, Vec::new()),
        (Refusal::OrderMalformed, b"{}\n".to_vec()),
        (Refusal::OrderMalformed, with("{\"act\"", "{\"more\":1,\"act\"")),
        (Refusal::OrderMalformed, with("\"reason\":", "\"more\":1,\"reason\":")),
        (
            Refusal::OrderMalformed,
            with("\"version\":1", "\"version\":1,\"version\":1"),
        ),
        (Refusal::OrderMalformed, with("\"declare\"", "\"cut\"")),
        (Refusal::OrderMalformed, with("}\n", "}\n{}")),
        (Refusal::OrderVersion, with("\"version\":1", "\"version\":2")),
        (Refusal::OrderNotCanonical, with("}\n", "}")),
        (Refusal::OrderNotCanonical, with("}\n", "}\n\n")),
        (Refusal::OrderNotCanonical, with("{\"act\"", "{ \"act\"")),
        (Refusal::OrderNotCanonical, with("\"ransomware", "\"\\u0072ansomware")),
        (Refusal::OrderNotCanonical, with("04:15:00Z", "05:15:00+01:00")),
        (Refusal::OrderNotCanonical, with("04:15:00Z", "04:15:00.000Z")),
        (Refusal::OrderNotCanonical, with("600000", "600000.0")),
    ];
    for (number, (wanted, bytes)) in cases.into_iter().enumerate() {
        let read = Order::read(&bytes).map(|_| ());
        // A number with a fraction is none of milliseconds at all.
        let also = (number == 15).then_some(Err(Refusal::OrderMalformed));
        assert!(read == Err(wanted) || Some(read) == also, "case {number}: {read:?}");
    }
}

#[test]
fn an_order_is_good_for_its_host_its_boot_and_its_hour() {
    let good = order(declaration());
    let at = |now: &str| Here {
        now: now.parse().unwrap(),
        ..here()
    };
    let until = |order: &Order, until: &str| Order {
        valid_until: until.parse().unwrap(),
        ..order.clone()
    };
    let prepared = Order {
        boot: None,
        ..order(revert())
    };
    let another_host = Here {
        host: crate::model::names::Digest::zero(),
        ..here()
    };
    let another_boot = Here {
        boot: "boot-2",
        ..here()
    };
    let unbound = Order {
        boot: None,
        ..good.clone()
    };
    for (order, here, wanted) in [
        (good.clone(), here(), Ok(())),
        (good.clone(), at("2026-11-28T04:14:59Z"), Ok(())),
        (good.clone(), at("2026-11-28T04:15:00Z"), Err(Refusal::Expired)),
        (good.clone(), at("2026-11-28T03:59:59Z"), Err(Refusal::NotYet)),
        (good.clone(), another_host.clone(), Err(Refusal::WrongHost)),
        (good.clone(), another_boot.clone(), Err(Refusal::WrongBoot)),
        (unbound, here(), Err(Refusal::WrongBoot)),
        (until(&good, NOW), here(), Err(Refusal::BadWindow)),
        (until(&good, "2026-11-28T05:00:00Z"), here(), Ok(())),
        (until(&good, "2026-11-28T05:00:01Z"), here(), Err(Refusal::BadWindow)),
        (until(&prepared, "2027-02-26T04:00:00Z"), here(), Ok(())),
        (
            until(&prepared, "2027-02-26T04:00:01Z"),
            here(),
            Err(Refusal::BadWindow),
        ),
        (prepared.clone(), another_boot, Ok(())),
        (prepared, another_host, Err(Refusal::WrongHost)),
    ] {
        assert_eq!(order.check(&here), wanted, "{order:?} {here:?}");
    }
}

#[test]
fn every_refusal_has_a_code_of_its_own() {
    let codes: BTreeSet<&str> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), Refusal::ALL.len());
    let plain = |code: &&str| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    assert!(codes.iter().all(plain));
}
