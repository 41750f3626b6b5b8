//! What gate lets pass, as rows for each kind of frame.

use std::collections::BTreeSet;

use crate::model::cut::Cut;
use crate::model::object::{Family, Verdict};
use crate::planning::Refusal;
use crate::planning::flow::{self, Course};
use crate::planning::rows::{self, Row};

/// u32 numbers the entries of a hash bucket from 0x800 to 0xfff (`gen_new_kid()` in `net/sched/cls_u32.c`).
const ROWS_MAX: usize = 2048;

/// What passes on one side.
#[derive(Clone, Debug, Default)]
pub(super) struct Passes {
    /// Frames of these protocols to addresses that no bridge forwards.
    pub(super) control: Vec<Row>,
    /// 802.1X to any address: a switch answers the host by its own.
    pub(super) authentication: Vec<Row>,
    pub(super) arp: Vec<Row>,
    pub(super) v4: Vec<Row>,
    pub(super) v6: Vec<Row>,
}

/// What passes on the ingress side, and on the egress side.
pub(super) fn passes(cuts: &[Cut], families: &BTreeSet<Family>) -> Result<[Passes; 2], Refusal> {
    let ingress = side(cuts, families, Course::Arrives)?;
    let egress = side(cuts, families, Course::Leaves)?;
    Ok([ingress, egress])
}

fn side(cuts: &[Cut], families: &BTreeSet<Family>, course: Course) -> Result<Passes, Refusal> {
    let mut passes = Passes::default();
    if families.contains(&Family::V4) {
        let v4 = flow_rows(cuts, Family::V4, course);
        // ARP is no IPv4: where only IPv4 is dropped it passes without a filter.
        if !v4.is_empty() && families.contains(&Family::V6) {
            passes.arp.push((rows::everything(), Verdict::Pass));
        }
        passes.v4 = limited(v4)?;
    }
    if families.contains(&Family::V6) {
        let mut v6 = flow_rows(cuts, Family::V6, course);
        if !v6.is_empty() {
            v6.extend(rows::neighbour_discovery());
            v6.extend(rows::listener_discovery());
        }
        if cuts.iter().any(|c| c.keep.router_advertisements) {
            v6.extend(rows::router_discovery());
        }
        passes.v6 = limited(v6)?;
    }
    // No frame of these is IPv4 or IPv6. Without them a bridge port that spanning tree holds opens, and ARP, which passes,
    // goes round for ever; a bond loses its legs, an authenticated port its authentication, and the lifelines their link.
    let keeps = !passes.v4.is_empty() || !passes.v6.is_empty();
    if keeps && families.len() == Family::BOTH.len() {
        passes.control.push(rows::reserved_group());
        passes.authentication.push((rows::everything(), Verdict::Pass));
    }
    Ok(passes)
}

fn flow_rows(cuts: &[Cut], family: Family, course: Course) -> Vec<Row> {
    let flows = flow::flows(cuts, family);
    let here = flows
        .iter()
        .filter(|f| f.course == course || f.course == Course::Passes);
    let mut all: Vec<Row> = here.flat_map(rows::of_flow).collect();
    if flow::keeps_any(cuts, family) {
        all.push(rows::path_mtu(family));
    }
    all
}

fn limited(mut rows: Vec<Row>) -> Result<Vec<Row>, Refusal> {
    rows.sort();
    rows.dedup();
    if rows.len() > ROWS_MAX {
        return Err(Refusal::TooMany {
            what: "filter rows for lifelines",
            count: rows.len(),
            limit: ROWS_MAX,
        });
    }
    Ok(rows)
}
