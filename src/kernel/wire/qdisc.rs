//! Queueing disciplines (`struct tcmsg`, `include/uapi/linux/rtnetlink.h`).
//!
//! Only `clsact` is ever created or deleted: everything else shapes traffic for somebody.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::tc::{TcHandle, TcHeader};

use super::{Batch, Broken, Refusal, attributes, header, kind_name_of, u32_of};
use crate::model::object::Qdisc;

/// RTM_NEWQDISC.
pub const NEW: u16 = 36;
const DELETE: u16 = 37;
/// RTM_GETQDISC.
pub const READ: u16 = 38;

const HEADER_BYTES: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_INGRESS_BLOCK: u16 = 13;
const TCA_EGRESS_BLOCK: u16 = 14;

/// The kind of qdisc that this program makes.
pub const OUR_KIND: &str = "clsact";

/// Asks for the qdiscs of all links.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16) -> Result<(), Refusal> {
    batch.push(READ, flags, &TcHeader::default(), |_| {})
}

/// Reads one RTM_NEWQDISC.
///
/// # Errors
/// If it is not one.
pub fn decode(payload: &[u8]) -> Result<Qdisc, Broken> {
    let head = TcHeader::parse(payload).map_err(header)?;
    let mut qdisc = Qdisc {
        link: head.index.cast_unsigned(),
        kind: String::new(),
        handle: u32::from(head.handle),
        parent: u32::from(head.parent),
        ingress_block: None,
        egress_block: None,
    };
    for attribute in attributes(payload, HEADER_BYTES) {
        let (kind, value) = attribute?;
        match kind {
            TCA_KIND => qdisc.kind = kind_name_of(value)?,
            TCA_INGRESS_BLOCK => qdisc.ingress_block = Some(u32_of(kind, value)?),
            TCA_EGRESS_BLOCK => qdisc.egress_block = Some(u32_of(kind, value)?),
            _ => {}
        }
    }
    if qdisc.kind.is_empty() {
        return Err(Broken(format!("the qdisc of link {} has no kind", qdisc.link)));
    }
    Ok(qdisc)
}

/// Creates `clsact`, on shared blocks where it names them.
///
/// # Errors
/// If it is another kind.
pub fn add(batch: &mut Batch, qdisc: &Qdisc) -> Result<(), Refusal> {
    write(batch, NEW, NLM_F_CREATE | NLM_F_EXCL, qdisc)
}

/// Deletes `clsact`.
///
/// # Errors
/// If it is another kind.
pub fn delete(batch: &mut Batch, qdisc: &Qdisc) -> Result<(), Refusal> {
    write(batch, DELETE, 0, qdisc)
}

fn write(batch: &mut Batch, message: u16, flags: u16, qdisc: &Qdisc) -> Result<(), Refusal> {
    if qdisc.kind != OUR_KIND {
        return Err(Refusal("only qdiscs of kind clsact are created and deleted"));
    }
    let head = TcHeader {
        index: qdisc.link.cast_signed(),
        handle: TcHandle::from(Qdisc::CLSACT_HANDLE),
        parent: TcHandle::CLSACT,
        ..TcHeader::default()
    };
    batch.push(message, flags, &head, |body| {
        body.put_string(TCA_KIND, OUR_KIND.as_bytes());
        if message == DELETE {
            return;
        }
        for (kind, block) in [
            (TCA_INGRESS_BLOCK, qdisc.ingress_block),
            (TCA_EGRESS_BLOCK, qdisc.egress_block),
        ] {
            if let Some(block) = block {
                body.put_u32(kind, block);
            }
        }
    })
}
