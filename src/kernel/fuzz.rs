//! Doors for the fuzzer and the replay of its corpus (`fuzz/`): what the kernel sends, without a kernel.
//!
//! It opens no socket and sends nothing.

use super::KernelError;
use super::socket::{acknowledgement, messages};
use super::wire::{Batch, Broken, address, filter, link, neighbour, nexthop, qdisc, route, rule};
use crate::model::object::Attach;

/// What an answer to a dump can hold, by `nlmsg_type`.
pub const KINDS: [u16; 8] = [
    address::NEW,
    filter::NEW,
    link::NEW,
    neighbour::NEW,
    nexthop::NEW,
    qdisc::NEW,
    route::NEW,
    rule::NEW,
];

/// Reads a datagram message by message until one cannot be understood.
///
/// # Errors
/// At the first that cannot.
pub fn datagram(bytes: &[u8]) -> Result<(), KernelError> {
    for message in messages(bytes) {
        let message = message?;
        let kind = message.message_type();
        if kind == netlink_packet_core::NLMSG_ERROR {
            drop(acknowledgement(&message)?);
        } else if KINDS.contains(&kind) {
            // A payload that cannot be read does not keep the next one from being looked at.
            drop(payload(kind, message.payload()));
        }
    }
    Ok(())
}

/// Decodes one object and writes what came of it as a request, as a restore would.
///
/// # Errors
/// If it cannot be decoded.
pub fn payload(kind: u16, bytes: &[u8]) -> Result<(), Broken> {
    let mut batch = Batch::default();
    // An object may be one that nobody can send; that is said and is no fault.
    match kind {
        address::NEW => address::decode(bytes)?.map_or(Ok(()), |o| address::add(&mut batch, &o)),
        link::NEW => link::add(&mut batch, &link::decode(bytes)?),
        neighbour::NEW => neighbour::decode(bytes)?.map_or(Ok(()), |o| neighbour::add(&mut batch, &o)),
        nexthop::NEW => nexthop::add(&mut batch, &nexthop::decode(bytes)?),
        qdisc::NEW => qdisc::add(&mut batch, &qdisc::decode(bytes)?),
        route::NEW => route::decode(bytes)?.map_or(Ok(()), |o| route::add(&mut batch, &o)),
        rule::NEW => rule::decode(bytes)?.map_or(Ok(()), |o| rule::add(&mut batch, &o)),
        _ => {
            let mut gathering = filter::Gathering::new(Attach::Block(1));
            gathering.take(bytes)?;
            let filters = gathering.finish();
            filters.iter().try_for_each(|o| filter::add(&mut batch, o))
        }
    }
    .map_or(Ok(()), Ok)
}
