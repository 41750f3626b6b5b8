//! Queueing disciplines and filters.

use std::fmt;

use super::Text;
use super::words::{Word, optional};
use crate::model::object::{Attach, Filter, FilterEntries, Qdisc, U32Match, Verdict};

/// TC_H_ROOT (`include/uapi/linux/pkt_sched.h`).
const ROOT: u32 = u32::MAX;

/// A handle as `tc` writes it: two hexadecimal halves.
struct Handle(u32);

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}:", self.0 >> 16)?;
        match self.0 & 0xffff {
            0 => Ok(()),
            minor => write!(f, "{minor:x}"),
        }
    }
}

impl fmt::Display for Text<'_, Qdisc> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("qdisc ")?;
        self.body(f)
    }
}

impl Text<'_, Qdisc> {
    /// What stands behind `tc qdisc add`.
    pub(super) fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, item: q } = *self;
        write!(
            f,
            "{} {} dev {}",
            Word(q.kind.as_bytes()),
            Handle(q.handle),
            names.dev(q.link)
        )?;
        match q.parent {
            ROOT => f.write_str(" root")?,
            parent => write!(f, " parent {}", Handle(parent))?,
        }
        optional(f, "ingress_block", q.ingress_block)?;
        optional(f, "egress_block", q.egress_block)
    }
}

/// An ethertype as `tc` names it.
struct Ethertype(u16);

impl fmt::Display for Ethertype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0x0003 => f.write_str("all"),
            0x0800 => f.write_str("ip"),
            0x0806 => f.write_str("arp"),
            0x86dd => f.write_str("ipv6"),
            other => write!(f, "{other:#06x}"),
        }
    }
}

impl fmt::Display for Text<'_, Filter> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("filter ")?;
        self.body(f)
    }
}

impl Text<'_, Filter> {
    /// What stands behind `tc filter add`.
    pub(super) fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, item: filter } = *self;
        match filter.attach {
            Attach::Block(block) => write!(f, "block {block}")?,
            Attach::Ingress(link) => write!(f, "dev {} ingress", names.dev(link))?,
            Attach::Egress(link) => write!(f, "dev {} egress", names.dev(link))?,
            Attach::Other(link, parent) => write!(f, "dev {} parent {}", names.dev(link), Handle(parent))?,
        }
        write!(f, " protocol {} pref {}", Ethertype(filter.protocol), filter.preference)?;
        optional(f, "chain", (filter.chain != 0).then_some(filter.chain))?;
        write!(f, " {}", Word(filter.kind.as_bytes()))?;
        match &filter.entries {
            FilterEntries::U32(rows) => rows
                .iter()
                .try_for_each(|(matches, verdict)| self.row(f, matches, *verdict)),
            FilterEntries::Foreign(handles) => {
                f.write_str(" handles")?;
                handles.iter().try_for_each(|h| write!(f, " {h:#x}"))
            }
        }
    }

    /// One u32 filter: its comparisons, closed by its verdict.
    fn row(&self, f: &mut fmt::Formatter<'_>, matches: &[U32Match], verdict: Verdict) -> fmt::Result {
        for m in matches {
            write!(f, " match {:08x}/{:08x} at {}", m.value, m.mask, m.offset)?;
        }
        match verdict {
            Verdict::Pass => write!(f, " flowid {}", Handle(Filter::OUR_CLASSID)),
            Verdict::DropInto(link) => write!(f, " action mirred egress redirect dev {}", self.names.dev(link)),
        }
    }
}
