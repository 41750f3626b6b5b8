use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2_next::Sha256 as Theirs;

use super::*;

/// The independent implementation hashes by itself, down to SHA-256.
type Oracle = MemoryBackedTree<Theirs, Vec<u8>>;

const SIZES: u64 = 5_000;

fn line(n: u64) -> Vec<u8> {
    format!("record {n}").into_bytes()
}

fn theirs(root: &RootHash<Theirs>) -> Digest {
    Digest::from_bytes(root.as_bytes().0)
}

fn flat(proof: &[Digest]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn inclusion_of(index: u64, size: u64) -> Vec<Digest> {
    let mut proof = Proof::of_inclusion(index, size).unwrap();
    (0..size).for_each(|n| proof.pass(n, leaf(&line(n))));
    proof.finish().unwrap()
}

fn consistency_of(smaller: u64, larger: u64) -> Vec<Digest> {
    let mut proof = Proof::of_consistency(smaller, larger).unwrap();
    (0..larger).for_each(|n| proof.pass(n, leaf(&line(n))));
    proof.finish().unwrap()
}

fn root_of(size: u64) -> Digest {
    let mut tree = Frontier::default();
    (0..size).for_each(|n| tree.push(leaf(&line(n))));
    tree.root()
}

/// Sizes and places where trees differ in shape.
fn corners(size: u64) -> Vec<u64> {
    let near = |n: u64| [n.saturating_sub(1), n, n + 1];
    let powers = (0..13).flat_map(|bit| near(1 << bit));
    let mut all: Vec<u64> = powers.chain(near(size / 2)).chain(near(size)).collect();
    all.sort_unstable();
    all.dedup();
    all.retain(|&n| n < size);
    all
}

#[test]
fn the_roots_are_those_of_an_independent_implementation_at_every_size() {
    let mut oracle = Oracle::new();
    let mut tree = Frontier::default();
    for n in 0..=SIZES {
        assert_eq!(tree.size(), n);
        assert_eq!(tree.root(), theirs(&oracle.root()), "of {n}");
        let again = Frontier::from_peaks(n, tree.peaks().to_vec()).unwrap();
        assert_eq!(again, tree);
        oracle.push(line(n));
        tree.push(leaf(&line(n)));
    }
}

#[test]
fn proofs_equal_those_of_an_independent_implementation() {
    let mut oracle = Oracle::new();
    let mut compared = 0;
    for size in 1..=SIZES {
        oracle.push(line(size - 1));
        // All pairs of small trees; of large ones some sizes, and of those the corners.
        let places = match size {
            1..=64 => (0..size).collect(),
            _ if size % 499 == 0 || size == SIZES || size.is_power_of_two() => corners(size),
            _ => continue,
        };
        let root = theirs(&oracle.root());
        for &index in &places {
            let proof = inclusion_of(index, size);
            let position = usize::try_from(index).unwrap();
            assert_eq!(flat(&proof), oracle.prove_inclusion(position).as_bytes());
            assert!(proves_inclusion(leaf(&line(index)), index, size, &proof, root));
            compared += 1;
        }
        for smaller in places.iter().map(|n| n + 1) {
            let proof = consistency_of(smaller, size);
            let added = usize::try_from(size - smaller).unwrap();
            assert_eq!(
                flat(&proof),
                oracle.prove_consistency(added).as_bytes(),
                "{smaller} in {size}"
            );
            assert!(proves_consistency((smaller, root_of(smaller)), (size, root), &proof));
            compared += 1;
        }
    }
    assert!(compared > 4_500, "{compared}");
}

#[test]
fn an_independent_implementation_accepts_our_proofs_and_refuses_altered_ones() {
    let (size, smaller) = (1_000, 600);
    let root = RootHash::<Theirs>::new((*root_of(size).as_bytes()).into(), size);
    let old_root = RootHash::<Theirs>::new((*root_of(smaller).as_bytes()).into(), smaller);
    let proof = inclusion_of(700, size);
    let check = |proof: &[Digest], index| {
        let proof = InclusionProof::try_from_bytes(flat(proof)).unwrap();
        root.verify_inclusion(&line(700), index, &proof).is_ok()
    };
    assert!(check(&proof, 700));
    assert!(!check(&proof, 701));
    let consistent = consistency_of(smaller, size);
    let check_growth = |proof: &[Digest]| {
        let proof = ConsistencyProof::try_from_bytes(flat(proof)).unwrap();
        root.verify_consistency(&old_root, &proof).is_ok()
    };
    assert!(check_growth(&consistent));
    for at in 0..proof.len() {
        let altered = altered(&proof, at);
        assert!(!check(&altered, 700));
        assert!(!proves_inclusion(leaf(&line(700)), 700, size, &altered, root_of(size)));
    }
    for at in 0..consistent.len() {
        let altered = altered(&consistent, at);
        assert!(!check_growth(&altered));
        let ends = ((smaller, root_of(smaller)), (size, root_of(size)));
        assert!(!proves_consistency(ends.0, ends.1, &altered));
    }
}

fn altered(proof: &[Digest], at: usize) -> Vec<Digest> {
    let mut proof = proof.to_vec();
    proof[at] = Digest::of(proof[at].as_bytes());
    proof
}

#[test]
fn a_proof_that_is_too_short_or_too_long_proves_nothing() {
    for size in 2..40 {
        for index in 0..size {
            let whole = inclusion_of(index, size);
            let leaf = leaf(&line(index));
            let short = &whole[..whole.len() - 1];
            let long = [&whole[..], &whole[..1]].concat();
            assert!(!proves_inclusion(leaf, index, size, short, root_of(size)));
            assert!(!proves_inclusion(leaf, index, size, &long, root_of(size)));
            assert!(!proves_inclusion(leaf, size, size, &whole, root_of(size)));
        }
        for smaller in 1..size {
            let whole = consistency_of(smaller, size);
            let ends = ((smaller, root_of(smaller)), (size, root_of(size)));
            let long = [&whole[..], &whole[..1]].concat();
            assert!(!proves_consistency(ends.0, ends.1, &whole[..whole.len() - 1]));
            assert!(!proves_consistency(ends.0, ends.1, &long));
            assert!(!proves_consistency(ends.1, ends.0, &whole));
        }
    }
    assert!(proves_consistency((3, root_of(3)), (3, root_of(3)), &[]));
    assert!(!proves_consistency((0, root_of(0)), (3, root_of(3)), &[]));
}

#[test]
fn there_is_no_proof_of_what_is_not_there() {
    assert!(Proof::of_inclusion(3, 3).is_none());
    assert!(Proof::of_consistency(0, 3).is_none());
    assert!(Proof::of_consistency(4, 3).is_none());
    let mut unfinished = Proof::of_inclusion(0, 3).unwrap();
    unfinished.pass(0, leaf(b""));
    assert!(unfinished.finish().is_none());
    assert!(Frontier::from_peaks(3, vec![Digest::zero()]).is_none());
}
