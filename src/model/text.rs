//! Text that reads like `ip` and `tc` print: for people, for diffs, and for the digest of a snapshot.
//!
//! The text is lossless: two snapshots are equal exactly if their texts are, because the digest is taken over it. So
//! whatever takes part in a comparison is written, unknown attributes included, and nothing that changes by itself is.
//! It must never carry a control or bidirectional character: kinds, labels and sysctl values come from outside, and
//! everything but printable ASCII in them is written `\xNN`, as in [`InterfaceName`]. One object is one line.

mod objects;
mod requests;
mod routes;
#[cfg(test)]
mod tests;
mod traffic;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::Digest as _;

use super::change::Change;
use super::names::{Digest, InterfaceName};
use super::object::{Address, Filter, Link, Neighbour, Nexthop, Qdisc, Route, Rule, Sysctl};
use super::snapshot::{Object, Snapshot};

/// The current name of each link, looked up once for many lines.
///
/// A link without a name, or whose name another one bears too, is written `if:INDEX`; no interface name has a colon.
#[derive(Clone, Debug, Default)]
pub struct LinkNames<'a>(BTreeMap<u32, &'a InterfaceName>);

impl<'a> LinkNames<'a> {
    /// The names in a snapshot.
    #[must_use]
    pub fn of(snapshot: &'a Snapshot) -> Self {
        let mut seen = BTreeSet::new();
        let twice: BTreeSet<_> = snapshot
            .links
            .iter()
            .map(|l| &l.name)
            .filter(|n| !seen.insert(*n))
            .collect();
        let single = snapshot.links.iter().filter(|l| !twice.contains(&l.name));
        Self(single.map(|l| (l.index, &l.name)).collect())
    }

    /// An object, as one line without its end.
    #[must_use]
    pub fn object<'t>(&'t self, object: &'t Object) -> Text<'t, Object> {
        Text {
            names: self,
            item: object,
        }
    }

    /// A change, as the command that would make it.
    #[must_use]
    pub fn change<'t>(&'t self, change: &'t Change) -> Text<'t, Change> {
        Text {
            names: self,
            item: change,
        }
    }

    fn dev(&self, index: u32) -> Dev<'_> {
        Dev {
            name: self.0.get(&index).copied(),
            index,
        }
    }
}

/// Something of the model beside the names of the links that it mentions; [`fmt::Display`] writes it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'t, T> {
    names: &'t LinkNames<'t>,
    item: &'t T,
}

/// A link as one word.
struct Dev<'a> {
    name: Option<&'a InterfaceName>,
    index: u32,
}

impl fmt::Display for Dev<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name}"),
            None => write!(f, "if:{}", self.index),
        }
    }
}

impl Snapshot {
    /// An object, with links called by the names they have in this snapshot. For many objects use [`LinkNames`].
    #[must_use]
    pub fn display_object(&self, object: &Object) -> String {
        LinkNames::of(self).object(object).to_string()
    }

    /// A change, with links called by the names they have in this snapshot. For many changes use [`LinkNames`].
    #[must_use]
    pub fn display_change(&self, change: &Change) -> String {
        LinkNames::of(self).change(change).to_string()
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_snapshot(self, f)
    }
}

/// The digest of a snapshot's text, which is never held as a whole: a million routes make 80 MB of it.
pub(super) fn digest(snapshot: &Snapshot) -> Digest {
    let mut hasher = Hasher(sha2::Sha256::new());
    write_snapshot(snapshot, &mut hasher).expect("the hasher refuses nothing, and no Display of ours fails by itself");
    Digest::from_bytes(hasher.0.finalize().into())
}

struct Hasher(sha2::Sha256);

impl fmt::Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

fn write_snapshot(snapshot: &Snapshot, out: &mut impl fmt::Write) -> fmt::Result {
    let names = &LinkNames::of(snapshot);
    section(out, "links", &snapshot.links, names)?;
    section(out, "addresses", &snapshot.addresses, names)?;
    section(out, "nexthops", &snapshot.nexthops, names)?;
    section(out, "routes", &snapshot.routes, names)?;
    section(out, "rules", &snapshot.rules, names)?;
    section(out, "neighbours", &snapshot.neighbours, names)?;
    section(out, "qdiscs", &snapshot.qdiscs, names)?;
    section(out, "filters", &snapshot.filters, names)?;
    section(out, "sysctls", &snapshot.sysctls, names)?;
    if snapshot.moving {
        out.write_str("routes kept changing while they were read\n")?;
    }
    Ok(())
}

/// Whether a text could be that of a snapshot: every host has links, and the headings have one order.
#[must_use]
pub fn is_snapshot(text: &str) -> bool {
    const HEADINGS: [&str; 9] = [
        "links",
        "addresses",
        "nexthops",
        "routes",
        "rules",
        "neighbours",
        "qdiscs",
        "filters",
        "sysctls",
    ];
    let places = text
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .map(|heading| HEADINGS.iter().position(|h| *h == heading));
    let places: Option<Vec<usize>> = places.collect();
    text.starts_with("# links\n") && places.is_some_and(|places| places.is_sorted_by(|a, b| a < b))
}

/// One kind of objects below its heading; nothing where there are none.
fn section<T>(out: &mut impl fmt::Write, heading: &str, items: &[T], names: &LinkNames<'_>) -> fmt::Result
where
    for<'t> Text<'t, T>: fmt::Display,
{
    if !items.is_empty() {
        writeln!(out, "# {heading}")?;
    }
    items
        .iter()
        .try_for_each(|item| writeln!(out, "{}", Text { names, item }))
}

impl fmt::Display for Text<'_, Object> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names;
        match self.item {
            Object::Link(item) => Text { names, item }.fmt(f),
            Object::Address(item) => Text { names, item }.fmt(f),
            Object::Nexthop(item) => Text { names, item }.fmt(f),
            Object::Route(item) => Text { names, item }.fmt(f),
            Object::Rule(item) => Text { names, item }.fmt(f),
            Object::Neighbour(item) => Text { names, item }.fmt(f),
            Object::Qdisc(item) => Text { names, item }.fmt(f),
            Object::Filter(item) => Text { names, item }.fmt(f),
            Object::Sysctl(item) => Text { names, item }.fmt(f),
        }
    }
}

/// Without a snapshot at hand, links are written `if:INDEX`.
macro_rules! display_alone {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Text { names: &LinkNames::default(), item: self }.fmt(f)
            }
        }
    )*};
}

display_alone!(
    Link, Address, Nexthop, Route, Rule, Neighbour, Qdisc, Filter, Sysctl, Object, Change
);
