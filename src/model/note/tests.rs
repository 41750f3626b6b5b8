use super::*;

fn secret(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: "portcullis-audit/0123".to_owned(),
        size: 17,
        root: Digest::of(b"root"),
    }
}

fn key(n: u8) -> NoteKey {
    NoteKey {
        name: checkpoint().origin,
        key: secret(n).verifying_key(),
    }
}

fn signed() -> Note {
    Note::sign(checkpoint().to_string(), &checkpoint().origin, &secret(1))
}

#[test]
fn another_implementation_accepts_our_notes_and_keys() {
    let note = signed().to_string();
    let verifier = signed_note::StandardVerifier::new(&key(1).to_string()).unwrap();
    let list = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let theirs = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
    let (good, unknown) = theirs.verify(&list).unwrap();
    assert_eq!((good.len(), unknown.len()), (1, 0));
    assert_eq!(theirs.text(), checkpoint().to_string().as_bytes());
    assert_eq!(
        signed_note::new_ed25519_verifier_key(&key(1).name, &key(1).key),
        key(1).to_string()
    );
}

#[test]
fn a_note_and_a_key_come_back_as_they_were_written() {
    let text = signed().to_string();
    let read: Note = text.parse().unwrap();
    assert_eq!(read, signed());
    assert_eq!(read.to_string(), text);
    assert_eq!(read.text().parse(), Ok(checkpoint()));
    assert_eq!(key(1).to_string().parse(), Ok(key(1)));
}

#[test]
fn only_the_key_that_signed_verifies() {
    assert_eq!(signed().verify(&key(1)), Ok(()));
    assert!(matches!(signed().verify(&key(2)), Err(NoteError::NotSigned(_))));
    let mut other_text = signed();
    other_text.text = other_text.text.replace("17", "18");
    assert!(matches!(other_text.verify(&key(1)), Err(NoteError::Forged(_))));
}

#[test]
fn signatures_of_strangers_are_passed_over() {
    let mut note = signed();
    note.signatures.insert(0, ("witness.example".to_owned(), vec![4; 76]));
    let text = note.to_string();
    let read: Note = text.parse().unwrap();
    assert_eq!(read.signatures(), 2);
    assert_eq!(read.verify(&key(1)), Ok(()));
}

#[test]
fn no_flipped_bit_of_a_note_leaves_its_text_signed() {
    let text = signed().to_string();
    let mut refused = 0;
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let verified = String::from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse::<Note>().ok())
            .is_some_and(|note| note.verify(&key(1)).is_ok());
        assert!(!verified, "bit {bit}");
        refused += 1;
    }
    assert_eq!(refused, text.len() * 8);
}

#[test]
fn what_is_no_note_is_refused() {
    let good = signed().to_string();
    for bad in [
        "",
        "a\nb\n",
        "a\n\n",
        good.trim_end(),
        &good.replace('\u{2014}', "-"),
        &good.replace("17", "1\u{1b}7"),
        &good.replace("\n\n", "\n"),
    ] {
        assert!(bad.parse::<Note>().is_err(), "{bad:?}");
    }
    for bad in [
        "o\n1\n",
        "o\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n+1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "o\n1\nAAAA\n",
        "o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ] {
        assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
    }
    // The identity of the curve signs everything.
    assert_eq!(public_key(&[1; 1]), None);
    let mut identity = [0; 32];
    identity[0] = 1;
    assert_eq!(public_key(&identity), None);
}
