//! Patterns over interface names.

use globset::Glob;

/// What a pattern may not be.
pub(super) fn refused(pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some("a pattern must not be empty".to_owned());
    }
    if pattern.chars().count() > PATTERN_MAX_CHARS {
        return Some(format!(
            "a pattern has at most {PATTERN_MAX_CHARS} characters, as the longest name has"
        ));
    }
    let impossible = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '/' | ':');
    if let Some(c) = pattern.chars().find(|c| impossible(*c)) {
        return Some(format!("no interface name contains {c:?}"));
    }
    let error = Glob::new(pattern).err()?;
    Some(format!("not a pattern: {}", error.kind()))
}

/// The longest alternative name (ALTIFNAMSIZ less one, `include/uapi/linux/if.h`).
const PATTERN_MAX_CHARS: usize = 127;

/// Whether the pattern matches this name. Patterns that do not compile match nothing; they are refused elsewhere.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(name))
}

/// Whether it stands for one name only.
pub(super) fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', '{', '\\'])
}

/// Whether it matches every name, or all but the shortest.
pub(super) fn is_everything(pattern: &str) -> bool {
    pattern.contains('*') && pattern.chars().all(|c| matches!(c, '*' | '?'))
}

/// Whether it is a pattern of literal characters, `*` and `?`, for which [`may_overlap`] is exact.
pub(super) fn is_simple(pattern: &str) -> bool {
    !pattern.contains(['[', ']', '{', '}', '\\', '!'])
}

/// Whether the pattern names loopback, alone or beside very few others.
pub(super) fn names_loopback(pattern: &str) -> bool {
    !pattern.contains(['*', '?']) && matches(pattern, "lo")
}

/// Whether some name matches both simple patterns.
pub(super) fn may_overlap(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // reach[i][j]: some text matches both what is left of `a` from i and of `b` from j.
    let mut reach = vec![vec![false; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            reach[i][j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                (Some('*'), None) => reach[i + 1][j],
                (None, Some('*')) => reach[i][j + 1],
                (Some(_), None) | (None, Some(_)) => false,
                (Some('*'), Some(_)) => reach[i + 1][j] || reach[i][j + 1],
                (Some(_), Some('*')) => reach[i][j + 1] || reach[i + 1][j],
                (Some(x), Some(y)) => (x == y || *x == '?' || *y == '?') && reach[i + 1][j + 1],
            };
        }
    }
    reach[0][0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_overlap_exactly_if_some_name_matches_both() {
        let table = [
            ("it*", "ot*", false),
            ("it*", "*", true),
            ("it*", "*0", true),
            ("it?", "it10", false),
            ("i?0", "it*", true),
            ("it0", "it0", true),
            ("*a", "*b", false),
            ("a*b*c", "ab", false),
            ("a*b*c", "abxc", true),
        ];
        for (a, b, overlap) in table {
            assert_eq!(may_overlap(a, b), overlap, "{a} {b}");
            assert_eq!(may_overlap(b, a), overlap, "{b} {a}");
        }
    }
}
