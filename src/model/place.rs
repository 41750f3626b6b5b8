//! Where in a text something stands, as people count.

/// Line and column of a byte, both from 1; columns count characters.
#[must_use]
pub fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len()))
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_begin_with_1_and_count_characters() {
        let text = "a\nbä c\n";
        for (at, wanted) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (2, 1)),
            (4, (2, 2)),
            (6, (2, 4)),
            (99, (3, 1)),
        ] {
            assert_eq!(line_and_column(text, at), wanted, "{at}");
        }
    }
}
