//! The Merkle tree over the lines of an audit log (RFC 6962, section 2.1; the checks are those of RFC 9162).
//!
//! A leaf is SHA-256(0x00 ‖ line), the line being the canonical JSON of a record as it stands on disk, without its
//! newline; a node is SHA-256(0x01 ‖ left ‖ right). Leaves count from 0, so record n is leaf n - 1. Nothing here holds
//! more than a logarithm of the tree: proofs are made while the leaves pass by.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::names::Digest;

/// The leaf for a line without its newline.
#[must_use]
pub fn leaf(line: &[u8]) -> Digest {
    let hash = Sha256::new_with_prefix([0]).chain_update(line);
    Digest::from_bytes(hash.finalize().into())
}

fn node(left: &Digest, right: &Digest) -> Digest {
    let hash = Sha256::new_with_prefix([1])
        .chain_update(left.as_bytes())
        .chain_update(right.as_bytes());
    Digest::from_bytes(hash.finalize().into())
}

/// A tree that is appended to: the roots of its complete subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Digest>,
}

impl Frontier {
    /// A tree of this many leaves from its subtree roots; none if their number does not fit the size.
    #[must_use]
    pub fn from_peaks(size: u64, peaks: Vec<Digest>) -> Option<Self> {
        (size.count_ones() as usize == peaks.len()).then_some(Self { size, peaks })
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Digest) {
        let mut merged = leaf;
        // Each low bit that is set is a complete subtree as large as the one that just became complete.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                merged = node(&left, &merged);
            }
        }
        self.peaks.push(merged);
        self.size += 1;
    }

    /// Leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Digest] {
        &self.peaks
    }

    /// The Merkle tree hash; of no leaves, the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(last) = peaks.next() else {
            return Digest::of(b"");
        };
        peaks.fold(last, |right, left| node(&left, &right))
    }
}

/// Which subtrees a proof consists of, and their roots as the leaves pass by.
#[derive(Clone, Debug)]
pub struct Proof {
    /// In the order of the proof.
    wanted: Vec<(Range<u64>, Frontier)>,
    /// Indices into `wanted`, by position in the tree.
    ahead: Vec<usize>,
}

impl Proof {
    /// That the leaf is in the tree of this size; none unless the tree has such a leaf.
    #[must_use]
    pub fn of_inclusion(index: u64, size: u64) -> Option<Self> {
        (index < size).then(|| {
            let mut ranges = Vec::new();
            inclusion(index, 0..size, &mut ranges);
            Self::of(ranges)
        })
    }

    /// That the tree of the larger size begins with that of the smaller; none unless the smaller is neither empty nor
    /// larger.
    #[must_use]
    pub fn of_consistency(smaller: u64, larger: u64) -> Option<Self> {
        (0 < smaller && smaller <= larger).then(|| {
            let mut ranges = Vec::new();
            consistency(smaller, 0..larger, Known::Yes, &mut ranges);
            Self::of(ranges)
        })
    }

    fn of(ranges: Vec<Range<u64>>) -> Self {
        let mut ahead: Vec<usize> = (0..ranges.len()).collect();
        ahead.sort_by_key(|&at| std::cmp::Reverse(ranges[at].start));
        let wanted = ranges.into_iter().map(|range| (range, Frontier::default())).collect();
        Self { wanted, ahead }
    }

    /// Takes the next leaf; they must come in order.
    pub fn pass(&mut self, index: u64, leaf: Digest) {
        let Some(&at) = self.ahead.last() else {
            return;
        };
        let (range, tree) = &mut self.wanted[at];
        if range.contains(&index) {
            tree.push(leaf);
        }
        if index + 1 == range.end {
            self.ahead.pop();
        }
    }

    /// The proof; none if not every leaf came by.
    #[must_use]
    pub fn finish(self) -> Option<Vec<Digest>> {
        let whole =
            |(range, tree): (Range<u64>, Frontier)| (tree.size() == range.end - range.start).then(|| tree.root());
        self.wanted.into_iter().map(whole).collect()
    }
}

/// The largest power of two below a number above 1.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// RFC 6962, section 2.1.1.
fn inclusion(index: u64, tree: Range<u64>, out: &mut Vec<Range<u64>>) {
    let size = tree.end - tree.start;
    if size == 1 {
        return;
    }
    let middle = tree.start + split(size);
    if index < middle {
        inclusion(index, tree.start..middle, out);
        out.push(middle..tree.end);
    } else {
        inclusion(index, middle..tree.end, out);
        out.push(tree.start..middle);
    }
}

/// Whether the one who checks knows the root of a subtree already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Yes,
    No,
}

/// RFC 6962, section 2.1.2.
fn consistency(smaller_end: u64, tree: Range<u64>, known: Known, out: &mut Vec<Range<u64>>) {
    if smaller_end == tree.end {
        if known == Known::No {
            out.push(tree);
        }
        return;
    }
    let middle = tree.start + split(tree.end - tree.start);
    if smaller_end <= middle {
        consistency(smaller_end, tree.start..middle, known, out);
        out.push(middle..tree.end);
    } else {
        consistency(smaller_end, middle..tree.end, Known::No, out);
        out.push(tree.start..middle);
    }
}

/// RFC 9162, section 2.1.3.2.
#[must_use]
pub fn proves_inclusion(leaf: Digest, index: u64, size: u64, proof: &[Digest], root: Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for step in proof {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node(step, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// RFC 9162, section 2.1.4.2.
#[must_use]
pub fn proves_consistency(smaller: (u64, Digest), larger: (u64, Digest), proof: &[Digest]) -> bool {
    let ((first, first_root), (second, second_root)) = (smaller, larger);
    if first == second {
        return proof.is_empty() && first_root == second_root;
    }
    if first == 0 || first > second {
        return false;
    }
    let mut steps = proof.iter();
    let mut at = first - 1;
    let mut last = second - 1;
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // The smaller tree is itself a subtree of the larger one: its root is the first step.
    let start = if first.is_power_of_two() {
        Some(&first_root)
    } else {
        steps.next()
    };
    let Some(&start) = start else {
        return false;
    };
    let (mut old, mut new) = (start, start);
    for step in steps {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node(step, &old);
            new = node(step, &new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node(&new, step);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == first_root && new == second_root
}

#[cfg(test)]
mod tests;
