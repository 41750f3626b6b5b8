//! Canonical JSON (RFC 8785, the JSON Canonicalization Scheme), restricted to integers within 2^53: one text for one
//! value, so that a digest or a signature over it means the value. Floats and larger numbers have no form here, because
//! there implementations differ.

use serde::Serialize;
use serde_json::Value;

use super::names::Digest;

/// How deep a value may nest; far below the 128 at which JSON parsers stop.
pub const MAX_DEPTH: usize = 32;
/// The largest integer that every JSON implementation holds exactly (RFC 8259, section 6): 2^53 - 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a value has no canonical form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// A number whose canonical form is disputed.
    #[error("the number {0} is not an integer within 2^53")]
    Number(String),
    /// What no reader would parse.
    #[error("it nests more than {MAX_DEPTH} deep")]
    TooDeep,
    /// It is not JSON: a map with keys that are no text, for one.
    #[error("it is not JSON: {0}")]
    NotJson(String),
}

/// The canonical text of a value.
///
/// # Errors
/// If it has none.
pub fn canonical(value: &impl Serialize) -> Result<Vec<u8>, NotCanonical> {
    let value = serde_json::to_value(value).map_err(|error| NotCanonical::NotJson(error.to_string()))?;
    let mut out = Vec::new();
    write_value(&value, &mut out)?;
    Ok(out)
}

/// SHA-256 of a value's canonical text: for types of the model, which all have one.
///
/// # Panics
/// If the value has no canonical text.
#[must_use]
pub fn canonical_digest(value: &impl Serialize) -> Digest {
    Digest::of(&canonical(value).expect("types of the model have text keys, small integers and little depth"))
}

/// Appends a value.
///
/// # Errors
/// If it has no canonical form.
pub(super) fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    write_at(value, 0, out)
}

fn write_at(value: &Value, depth: usize, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    if depth > MAX_DEPTH {
        return Err(NotCanonical::TooDeep);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Number(number) => {
            let integer = number.as_i128();
            write_integer(integer.ok_or_else(|| NotCanonical::Number(number.to_string()))?, out)?;
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_at(item, depth + 1, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            // Section 3.2.3: names sort as UTF-16, which differs from UTF-8, as they come, beyond U+FFFF.
            if !members.iter().all(|(name, _)| name.is_ascii()) {
                members.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            }
            out.push(b'{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write_at(member, depth + 1, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// Appends a number.
///
/// # Errors
/// Beyond [`INTEGER_MAX`] either way.
pub(super) fn write_integer(integer: i128, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    if integer.unsigned_abs() > u128::from(INTEGER_MAX) {
        return Err(NotCanonical::Number(integer.to_string()));
    }
    out.extend_from_slice(integer.to_string().as_bytes());
    Ok(())
}

/// Appends text or `null`.
pub(super) fn write_optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => write_string(text, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends text, quoted. Section 3.2.2.2: the five short escapes, `\"`, `\\`, `\u00xx` for other control characters,
/// nothing else.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0x00..0x20)) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        match escaped[0] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
        rest = &escaped[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Any JSON without floats, with names and texts of every kind.
    pub(in crate::model) fn any_json() -> impl Strategy<Value = Value> {
        let limit = i64::try_from(INTEGER_MAX).unwrap();
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-limit..=limit).prop_map(Value::from),
            any_text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any_text(), inner, 0..5)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    /// Text that is often hostile: control characters, line ends, bidirectional controls, beyond U+FFFF.
    pub(in crate::model) fn any_text() -> impl Strategy<Value = String> {
        let hostile = prop::sample::select(vec![
            '\0', '\u{1b}', '\r', '\n', '\u{85}', '\u{2028}', '\u{202e}', '\u{2066}', '"', '\\', '\u{7f}', '\u{e000}',
            '😀',
        ]);
        prop::collection::vec(prop_oneof![hostile, any::<char>()], 0..12).prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn it_is_what_an_independent_canonicaliser_writes(value in any_json()) {
            let expected = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(canonical(&value).unwrap(), expected);
        }
    }

    #[test]
    fn names_sort_as_utf_16() {
        let value = json!({ "\u{ff5e}": 1, "\u{1f600}": 2, "a": 3 });
        let text = String::from_utf8(canonical(&value).unwrap()).unwrap();
        assert_eq!(text, "{\"a\":3,\"\u{1f600}\":2,\"\u{ff5e}\":1}");
    }

    #[test]
    fn numbers_as_names_sort_as_text() {
        let value = BTreeMap::from([(9, "nine"), (10, "ten")]);
        assert_eq!(canonical(&value).unwrap(), br#"{"10":"ten","9":"nine"}"#);
    }

    #[test]
    fn what_has_no_one_form_is_refused() {
        let two_to_53: u64 = 1 << 53;
        for bad in [
            json!(1.5),
            json!([1.0]),
            json!({"a": -0.0}),
            json!(two_to_53),
            json!(u64::MAX),
            json!(i64::MIN),
        ] {
            assert!(matches!(canonical(&bad), Err(NotCanonical::Number(_))), "{bad}");
        }
        assert!(canonical(&json!([INTEGER_MAX, -(INTEGER_MAX as i64)])).is_ok());
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert!(canonical(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(canonical(&nested(MAX_DEPTH + 1)), Err(NotCanonical::TooDeep));
        let keyed = BTreeMap::from([((1, 2), 3)]);
        assert!(matches!(canonical(&keyed), Err(NotCanonical::NotJson(_))));
    }
}
