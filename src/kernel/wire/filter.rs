//! Traffic control filters (`struct tcmsg`, `include/uapi/linux/pkt_cls.h`).
//!
//! A dump gives one record for each filter; those of one preference at one place are one `tcf_proto`, which is one
//! [`Filter`] here. Filters of ours are u32 rows that all carry our classid. Their handles are given by us, because the
//! kernel makes an anonymous row a second time instead of saying EEXIST; a handle that is taken is ENOSPC.
//!
//! The two sides of a `clsact` without blocks share what u32 keeps (`tc_u_common_ptr()` in `net/sched/cls_u32.c`), and a
//! dump of one side gives the rows of both wherever their preferences are equal. So rows of ours have handles from 1 on
//! ingress and from 0x800 on egress, and each side takes only its own.

use std::collections::BTreeMap;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::tc::{TcHandle, TcHeader};

use super::{Batch, Body, Broken, Refusal, array, attributes, header, kind_name_of, u32_at, u32_of};
use crate::model::object::{Attach, Filter, FilterEntries, Qdisc, U32Match, Verdict};

/// RTM_NEWTFILTER.
pub const NEW: u16 = 44;
const DELETE: u16 = 45;
/// RTM_GETTFILTER.
pub const READ: u16 = 46;

const HEADER_BYTES: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_CHAIN: u16 = 11;
const TCA_U32_CLASSID: u16 = 1;
const TCA_U32_DIVISOR: u16 = 4;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TCA_U32_HASH: u16 = 2;
const TCA_U32_PCNT: u16 = 9;
const TCA_U32_FLAGS: u16 = 11;
const TCA_U32_PAD: u16 = 12;
const TC_U32_TERMINAL: u8 = 1;
/// `struct tc_u32_sel` before its keys, and `struct tc_u32_key`.
const SELECTOR_BYTES: usize = 16;
const KEY_BYTES: usize = 16;
/// TC_U32_MAXDEPTH does not bound keys; `nkeys` is a byte, and iproute2 stops at 128.
const KEYS_MAX: usize = 128;
/// A handle is a hash table (TC_U32_HTID, twelve bits), a bucket, and a node (TC_U32_NODE, twelve bits, 0 for none).
const TABLE_SHIFT: u32 = 20;
const NODE_MASK: u32 = 0xfff;
/// The first node of an egress row of ours; ingress rows stand below it.
const EGRESS_NODES: u32 = 0x800;
const ROWS_MAX: usize = 0x7ff;

const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const MIRRED: &str = "mirred";
/// TC_ACT_STOLEN: what `tc` writes for a redirect.
const TC_ACT_STOLEN: u32 = 4;
/// TCA_EGRESS_REDIR.
const TCA_EGRESS_REDIR: u32 = 1;
/// Where `eaction` and `ifindex` stand in `struct tc_mirred`, and its length.
const MIRRED_EACTION_AT: usize = 20;
const MIRRED_IFINDEX_AT: usize = 24;
const MIRRED_BYTES: usize = 28;

/// TC_H_MIN_INGRESS and TC_H_MIN_EGRESS of the `clsact` handle.
const INGRESS_PARENT: u32 = Qdisc::CLSACT_HANDLE | 0xfff2;
const EGRESS_PARENT: u32 = Qdisc::CLSACT_HANDLE | 0xfff3;

/// The kind of filter that this program makes.
pub const OUR_KIND: &str = "u32";

/// Asks for the filters at one place.
///
/// # Errors
/// Never: it is of fixed size.
pub fn list(batch: &mut Batch, flags: u16, attach: Attach) -> Result<(), Refusal> {
    batch.push(READ, flags, &at(attach), |_| {})
}

fn at(attach: Attach) -> TcHeader {
    let (link, parent) = match attach {
        Attach::Block(block) => (TcHeader::TCM_IFINDEX_MAGIC_BLOCK, block),
        Attach::Ingress(link) => (link, INGRESS_PARENT),
        Attach::Egress(link) => (link, EGRESS_PARENT),
        Attach::Other(link, parent) => (link, parent),
    };
    TcHeader {
        index: link.cast_signed(),
        parent: TcHandle::from(parent),
        ..TcHeader::default()
    }
}

/// One record of a dump.
#[derive(Debug)]
struct Record {
    kind: String,
    handle: u32,
    /// None for what is no filter of ours, by its form.
    ours: Option<(Vec<U32Match>, Verdict)>,
}

/// Gathers the records of the dump of one place into filters.
#[derive(Debug)]
pub struct Gathering {
    attach: Attach,
    /// Chain, preference and protocol, to records in the order of the dump, which is that of the kernel's search.
    found: BTreeMap<(u32, u16, u16), Vec<Record>>,
}

impl Gathering {
    /// Begins with nothing.
    #[must_use]
    pub fn new(attach: Attach) -> Self {
        Self {
            attach,
            found: BTreeMap::new(),
        }
    }

    /// Takes one RTM_NEWTFILTER.
    ///
    /// # Errors
    /// If it is not one.
    pub fn take(&mut self, payload: &[u8]) -> Result<(), Broken> {
        let head = TcHeader::parse(payload).map_err(header)?;
        let (mut kind, mut chain, mut options) = (String::new(), 0, None);
        for attribute in attributes(payload, HEADER_BYTES) {
            let (number, value) = attribute?;
            match number {
                TCA_KIND => kind = kind_name_of(value)?,
                TCA_CHAIN => chain = u32_of(number, value)?,
                TCA_OPTIONS => options = Some(value),
                _ => {}
            }
        }
        let [low, high, a, b] = head.info.to_le_bytes();
        let place = (chain, u16::from_le_bytes([a, b]), u16::from_be_bytes([low, high]));
        let records = self.found.entry(place).or_default();
        let handle = u32::from(head.handle);
        let Some(options) = options.filter(|_| handle != 0) else {
            // The record of the preference itself: it says that there is one, even if it holds nothing.
            if records.is_empty() {
                records.push(Record {
                    kind,
                    handle: 0,
                    ours: None,
                });
            }
            return Ok(());
        };
        if kind == OUR_KIND && has(options, TCA_U32_DIVISOR)? {
            return Ok(());
        }
        let ours = if kind == OUR_KIND { row(options)? } else { None };
        records.push(Record { kind, handle, ours });
        Ok(())
    }

    /// The filters found.
    #[must_use]
    pub fn finish(self) -> Vec<Filter> {
        let attach = self.attach;
        let filter = |((chain, preference, protocol), records): (_, Vec<Record>)| {
            let kind = records.first().map(|r| r.kind.clone()).unwrap_or_default();
            Filter {
                attach,
                preference,
                protocol,
                chain,
                kind,
                entries: entries(attach, records.into_iter().filter(|r| r.handle != 0).collect()),
            }
        };
        self.found.into_iter().map(filter).collect()
    }
}

/// Ours if one hash table holds nothing but rows of ours of this side; else all that is not ours of the other side.
///
/// Tables beside ours are those of the other side: each preference has its own, and ours links to no further one.
fn entries(attach: Attach, records: Vec<Record>) -> FilterEntries {
    let mut tables: Vec<(u32, Vec<Record>)> = Vec::new();
    for record in records {
        let table = record.handle >> TABLE_SHIFT;
        match tables.last_mut() {
            Some((last, rows)) if *last == table => rows.push(record),
            Some(_) | None => tables.push((table, vec![record])),
        }
    }
    let all_ours = |rows: &[Record]| rows.iter().all(|r| r.ours.is_some());
    tables.retain(|(_, rows)| !(all_ours(rows) && rows.iter().all(|r| is_of_other_side(attach, r.handle))));
    let own = tables.iter().position(|(_, rows)| all_ours(rows));
    match own.map(|index| tables.swap_remove(index)) {
        Some((_, rows)) => FilterEntries::U32(rows.into_iter().filter_map(|r| r.ours).collect()),
        None => FilterEntries::Foreign(
            tables
                .into_iter()
                .flat_map(|(_, rows)| rows)
                .map(|r| r.handle)
                .collect(),
        ),
    }
}

fn is_of_other_side(attach: Attach, handle: u32) -> bool {
    let egress = handle & NODE_MASK >= EGRESS_NODES;
    match attach {
        Attach::Ingress(_) => egress,
        Attach::Egress(_) => !egress,
        Attach::Block(_) | Attach::Other(..) => false,
    }
}

fn has(options: &[u8], wanted: u16) -> Result<bool, Broken> {
    for attribute in attributes(options, 0) {
        if attribute?.0 == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The row as this program writes it, none for any other u32 filter.
fn row(options: &[u8]) -> Result<Option<(Vec<U32Match>, Verdict)>, Broken> {
    let (mut ours, mut matches, mut verdict) = (false, None, Some(Verdict::Pass));
    for attribute in attributes(options, 0) {
        let (kind, value) = attribute?;
        match kind {
            TCA_U32_CLASSID => ours = u32_of(kind, value)? == Filter::OUR_CLASSID,
            TCA_U32_SEL => matches = selector(value)?,
            TCA_U32_ACT => verdict = drop_into(value)?,
            TCA_U32_HASH | TCA_U32_PCNT | TCA_U32_FLAGS | TCA_U32_PAD => {}
            _ => return Ok(None),
        }
    }
    Ok(matches.zip(verdict).filter(|_| ours))
}

/// `struct tc_u32_sel` with `struct tc_u32_key`s; none if it does more than compare.
fn selector(value: &[u8]) -> Result<Option<Vec<U32Match>>, Broken> {
    let head = array::<SELECTOR_BYTES>(TCA_U32_SEL, value.get(..SELECTOR_BYTES).unwrap_or_default())?;
    let [flags, offset_shift, count, _, rest @ ..] = head;
    if flags != TC_U32_TERMINAL || offset_shift != 0 || rest.iter().any(|&b| b != 0) {
        return Ok(None);
    }
    let keys = value[SELECTOR_BYTES..].chunks(KEY_BYTES).take(usize::from(count));
    let mut matches = Vec::with_capacity(usize::from(count));
    for key in keys {
        let be = |at: usize| -> Result<u32, Broken> { Ok(u32_at(TCA_U32_SEL, key, at)?.to_be()) };
        if u32_at(TCA_U32_SEL, key, 12)? != 0 {
            return Ok(None);
        }
        matches.push(U32Match {
            mask: be(0)?,
            value: be(4)?,
            offset: u32_at(TCA_U32_SEL, key, 8)?.cast_signed(),
        });
    }
    if matches.len() != usize::from(count) {
        return Err(Broken(format!(
            "a u32 selector of {count} keys in {} bytes",
            value.len()
        )));
    }
    Ok(Some(matches))
}

/// The only action, if it redirects to a link's egress.
fn drop_into(actions: &[u8]) -> Result<Option<Verdict>, Broken> {
    let mut verdict = None;
    for (count, action) in attributes(actions, 0).enumerate() {
        let (_, action) = action?;
        verdict = if count == 0 { redirect(action)? } else { None };
    }
    Ok(verdict)
}

fn redirect(action: &[u8]) -> Result<Option<Verdict>, Broken> {
    let (mut mirred, mut target) = (false, None);
    for attribute in attributes(action, 0) {
        let (kind, value) = attribute?;
        match kind {
            TCA_ACT_KIND => mirred = kind_name_of(value)? == MIRRED,
            TCA_ACT_OPTIONS => target = Some(value),
            _ => {}
        }
    }
    let Some(options) = target.filter(|_| mirred) else {
        return Ok(None);
    };
    for attribute in attributes(options, 0) {
        let (kind, value) = attribute?;
        if kind == TCA_MIRRED_PARMS {
            let redirects = u32_at(kind, value, MIRRED_EACTION_AT)? == TCA_EGRESS_REDIR;
            let link = u32_at(kind, value, MIRRED_IFINDEX_AT)?;
            return Ok(redirects.then_some(Verdict::DropInto(link)));
        }
    }
    Ok(None)
}

/// Adds every row, one message a row.
///
/// # Errors
/// If it is not made of rows of ours, or of more than the kernel holds.
pub fn add(batch: &mut Batch, filter: &Filter) -> Result<(), Refusal> {
    let FilterEntries::U32(rows) = &filter.entries else {
        return Err(Refusal("only u32 filters of ours are created"));
    };
    if filter.kind != OUR_KIND || rows.is_empty() || rows.len() > ROWS_MAX {
        return Err(Refusal("a filter of ours is of kind u32 and has 1 to 2,047 rows"));
    }
    if rows.iter().any(|(matches, _)| matches.len() > KEYS_MAX) {
        return Err(Refusal("a row of a u32 filter has at most 128 comparisons"));
    }
    let first = match filter.attach {
        Attach::Ingress(_) | Attach::Block(_) => 1_u32,
        Attach::Egress(_) => EGRESS_NODES,
        Attach::Other(..) => return Err(Refusal("filters are created only on clsact and on blocks")),
    };
    let before = batch.len();
    for (number, (matches, verdict)) in (first..).zip(rows) {
        let mut head = of(filter);
        head.handle = TcHandle::from(number);
        let pushed = batch.push(NEW, NLM_F_CREATE | NLM_F_EXCL, &head, |body| {
            write_place(body, filter);
            body.nest(TCA_OPTIONS, |options| write_row(options, matches, *verdict));
        });
        pushed.inspect_err(|_| batch.truncate(before))?;
    }
    Ok(())
}

/// Deletes the whole preference, if protocol and kind are these.
///
/// # Errors
/// If it hangs where nothing of ours does.
pub fn delete(batch: &mut Batch, filter: &Filter) -> Result<(), Refusal> {
    if let Attach::Other(..) = filter.attach {
        return Err(Refusal("only filters on clsact and on blocks are deleted"));
    }
    batch.push(DELETE, 0, &of(filter), |body| write_place(body, filter))
}

fn of(filter: &Filter) -> TcHeader {
    let [a, b] = filter.preference.to_le_bytes();
    let [low, high] = filter.protocol.to_be_bytes();
    TcHeader {
        info: u32::from_le_bytes([low, high, a, b]),
        ..at(filter.attach)
    }
}

fn write_place(body: &mut Body<'_>, filter: &Filter) {
    body.put_string(TCA_KIND, filter.kind.as_bytes());
    if filter.chain != 0 {
        body.put_u32(TCA_CHAIN, filter.chain);
    }
}

fn write_row(body: &mut Body<'_>, matches: &[U32Match], verdict: Verdict) {
    body.put_u32(TCA_U32_CLASSID, Filter::OUR_CLASSID);
    body.nest(TCA_U32_SEL, |selector| {
        let count = u8::try_from(matches.len()).unwrap_or(u8::MAX);
        let mut head = [0; SELECTOR_BYTES];
        head[0] = TC_U32_TERMINAL;
        head[2] = count;
        selector.bytes.extend_from_slice(&head);
        for one in matches {
            selector.bytes.extend_from_slice(&one.mask.to_be_bytes());
            selector.bytes.extend_from_slice(&one.value.to_be_bytes());
            selector.bytes.extend_from_slice(&one.offset.to_ne_bytes());
            selector.bytes.extend_from_slice(&[0; 4]);
        }
    });
    if let Verdict::DropInto(link) = verdict {
        body.nest(TCA_U32_ACT, |actions| {
            actions.nest(1, |action| write_redirect(action, link))
        });
    }
}

fn write_redirect(action: &mut Body<'_>, link: u32) {
    action.put_string(TCA_ACT_KIND, MIRRED.as_bytes());
    action.nest(TCA_ACT_OPTIONS, |options| {
        let mut parameters = [0; MIRRED_BYTES];
        // `tc_gen` is index, capab, action, refcnt, bindcnt.
        parameters[8..12].copy_from_slice(&TC_ACT_STOLEN.to_ne_bytes());
        parameters[MIRRED_EACTION_AT..MIRRED_IFINDEX_AT].copy_from_slice(&TCA_EGRESS_REDIR.to_ne_bytes());
        parameters[MIRRED_IFINDEX_AT..].copy_from_slice(&link.to_ne_bytes());
        options.put(TCA_MIRRED_PARMS, &parameters);
    });
}
