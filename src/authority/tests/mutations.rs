//! No signature that was changed, and none of an order that was changed, is taken.

use super::forge::{armour, blob};
use super::{declaration, order, pens, people_of};
use crate::authority::order::Order;
use crate::authority::people::People;
use crate::authority::signature::signer;

/// Each is decoded and verified, which without optimisation takes milliseconds.
const MUTATIONS: u32 = if cfg!(debug_assertions) { 4_000 } else { 100_000 };

/// xorshift64 (Marsaglia): the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

fn mutate(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = numbers.below(changed.len());
    match numbers.below(6) {
        0 => changed[at] ^= 1 << numbers.below(8),
        1 => changed[at] = u8::try_from(numbers.below(256)).unwrap(),
        2 => changed.truncate(at),
        3 => drop(changed.remove(at)),
        4 => changed.insert(at, u8::try_from(numbers.below(256)).unwrap()),
        _ => {
            let other = numbers.below(changed.len());
            changed.swap(at, other);
        }
    }
    changed
}

fn is_taken(people: &People, bytes: &[u8], armoured: &str) -> bool {
    Order::read(bytes).is_ok() && signer(people, bytes, armoured).is_ok()
}

#[test]
fn of_many_mutations_none_is_taken() {
    let pens = pens();
    let people = people_of(&pens);
    let bytes = order(declaration()).to_bytes().unwrap();
    let mut numbers = Numbers(0x5043_5043);
    let (mut tried, mut taken) = (0, Vec::new());
    while tried < MUTATIONS {
        let pen = &pens[numbers.below(pens.len())];
        let signed = pen.sign(&bytes);
        assert!(is_taken(&people, &bytes, &signed), "{:?} unchanged", pen.kind);
        for _ in 0..100 {
            let (mut order, mut armoured) = (bytes.clone(), signed.clone());
            match numbers.below(3) {
                0 => order = mutate(&bytes, &mut numbers),
                1 => armoured = String::from_utf8_lossy(&mutate(signed.as_bytes(), &mut numbers)).into_owned(),
                _ => armoured = armour(&mutate(&blob(&signed), &mut numbers)),
            }
            if (&order, &armoured) == (&bytes, &signed) {
                continue;
            }
            tried += 1;
            if is_taken(&people, &order, &armoured) {
                taken.push((pen.kind, String::from_utf8_lossy(&order).into_owned(), armoured));
            }
        }
    }
    assert!(
        taken.is_empty(),
        "{} of {tried} taken, the first: {:?}",
        taken.len(),
        taken[0]
    );
}

#[test]
fn no_single_bit_of_a_signature_can_be_flipped() {
    let pens = pens();
    let people = people_of(&pens);
    let bytes = order(declaration()).to_bytes().unwrap();
    for pen in &pens {
        let good = blob(&pen.sign(&bytes));
        for bit in 0..good.len() * 8 {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !is_taken(&people, &bytes, &armour(&flipped)),
                "{:?}, bit {bit}",
                pen.kind
            );
        }
    }
}
