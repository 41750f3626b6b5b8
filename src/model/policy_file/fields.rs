//! Tables, fields and plain values, each with its place in the file.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Code, Problem, Report};

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A list and its place, with the place of every entry.
pub(super) type List<T> = At<Vec<At<T>>>;

/// A TOML value as it stands in the file.
pub(super) type Raw<'a> = Spanned<DeValue<'a>>;

impl<T> At<T> {
    pub(super) fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }
}

impl<T> At<Vec<At<T>>> {
    /// What stands where a field is left out.
    pub(super) fn none(span: Range<usize>) -> Self {
        Self {
            value: Vec::new(),
            span,
        }
    }

    /// The entries without their places.
    pub(super) fn values(&self) -> Vec<T>
    where
        T: Clone,
    {
        self.value.iter().map(|entry| entry.value.clone()).collect()
    }
}

/// A table being read: whatever is not asked for is unknown.
pub(super) struct Section<'a> {
    /// What people call it, such as `[scope]`.
    title: String,
    /// The place of its heading.
    pub(super) span: Range<usize>,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn new(title: impl Into<String>, span: Range<usize>, table: &'a DeTable<'a>) -> Self {
        Self {
            title: title.into(),
            span,
            table,
            known: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// A table, or the report that it is none.
    pub(super) fn of(title: impl Into<String>, raw: &'a Raw<'a>, report: &mut Report) -> Option<Self> {
        match raw.get_ref().as_table() {
            Some(table) => Some(Self::new(title, raw.span(), table)),
            None => wrong_type(raw, "a table", report),
        }
    }

    /// A field that may be left out.
    pub(super) fn optional(&mut self, key: &'static str) -> Option<&'a Raw<'a>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// A field that must be there; [`Section::finish`] reports it if it is not.
    pub(super) fn required(&mut self, key: &'static str) -> Option<&'a Raw<'a>> {
        let found = self.optional(key);
        if found.is_none() {
            self.missing.push(key);
        }
        found
    }

    /// Reports the fields that were missing and those that nobody asked for.
    pub(super) fn finish(mut self, report: &mut Report) {
        for key in self
            .table
            .keys()
            .filter(|key| !self.known.contains(&key.get_ref().as_ref()))
        {
            let text = key.get_ref().as_ref();
            let meant = self
                .known
                .iter()
                .copied()
                .find(|known| distance(known, text) <= 2 && !known.is_empty());
            let problem = Problem::new(
                Code::UnknownField,
                key.span(),
                format!("unknown field {text:?} in {}", self.title),
            );
            report.push(match meant {
                Some(meant) => problem.hint(format!("did you mean `{meant}`?")),
                None => problem.hint(format!("known here: {}", self.known.join(", "))),
            });
            self.missing.retain(|missing| Some(*missing) != meant);
        }
        for key in self.missing {
            report.push(Problem::new(
                Code::MissingField,
                self.span.clone(),
                format!("{} lacks `{key}`", self.title),
            ));
        }
    }
}

/// Edit distance (Levenshtein), for guessing what was meant. Long words are nobody's misspelling.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

fn wrong_type<T>(raw: &Raw<'_>, wanted: &str, report: &mut Report) -> Option<T> {
    let message = format!("expected {wanted}, found {}", article(raw.get_ref().type_str()));
    report.push(Problem::new(Code::WrongType, raw.span(), message));
    None
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// A string.
pub(super) fn string<'a>(raw: &'a Raw<'a>, report: &mut Report) -> Option<At<&'a str>> {
    match raw.get_ref().as_str() {
        Some(text) => Some(At::new(text, raw.span())),
        None => wrong_type(raw, "a string", report),
    }
}

/// A truth value.
pub(super) fn boolean(raw: &Raw<'_>, report: &mut Report) -> Option<At<bool>> {
    match raw.get_ref().as_bool() {
        Some(value) => Some(At::new(value, raw.span())),
        None => wrong_type(raw, "true or false", report),
    }
}

/// A whole number from `first` to `last`.
pub(super) fn integer(raw: &Raw<'_>, first: i64, last: i64, report: &mut Report) -> Option<At<i64>> {
    let Some(number) = raw.get_ref().as_integer() else {
        return wrong_type(raw, "an integer", report);
    };
    match i64::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) if (first..=last).contains(&value) => Some(At::new(value, raw.span())),
        Ok(_) | Err(_) => {
            let message = format!("expected a number from {first} to {last}");
            report.push(Problem::new(Code::BadNumber, raw.span(), message));
            None
        }
    }
}

/// A truth value that may be left out: no.
pub(super) fn flag(section: &mut Section<'_>, key: &'static str, report: &mut Report) -> Option<At<bool>> {
    match section.optional(key) {
        Some(raw) => boolean(raw, report),
        None => Some(At::new(false, section.span.clone())),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(raw: &Raw<'_>, words: &[(&str, T)], report: &mut Report) -> Option<At<T>> {
    let text = string(raw, report)?;
    match words.iter().find(|(word, _)| *word == text.value) {
        Some((_, value)) => Some(At::new(*value, text.span)),
        None => {
            let known = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            let problem = Problem::new(
                Code::UnknownWord,
                text.span,
                format!("{:?} is not known here", text.value),
            );
            report.push(problem.hint(format!("one of: {known}")));
            None
        }
    }
}

/// A list of at most `limit` entries. None if any entry is not what it should be, so that no rule judges a part.
pub(super) fn list<'a, T>(
    raw: &'a Raw<'a>,
    limit: usize,
    report: &mut Report,
    mut entry: impl FnMut(&'a Raw<'a>, &mut Report) -> Option<At<T>>,
) -> Option<List<T>> {
    let Some(array) = raw.get_ref().as_array() else {
        return wrong_type(raw, "a list", report);
    };
    if array.len() > limit {
        let message = format!("{} entries are more than the {limit} allowed", array.len());
        report.push(Problem::new(Code::TooMany, raw.span(), message));
        return None;
    }
    let read: Vec<_> = array.iter().map(|item| entry(item, report)).collect();
    let all = read.into_iter().collect::<Option<Vec<_>>>()?;
    Some(At::new(all, raw.span()))
}

/// A list of different words, at least one.
pub(super) fn words<T: Copy + Ord>(raw: &Raw<'_>, known: &[(&str, T)], report: &mut Report) -> Option<At<BTreeSet<T>>> {
    // Twice as many as there are words: then it is not a misspelling that is reported as "too many".
    let found = list(raw, 2 * known.len(), report, |item, report| word(item, known, report))?;
    if found.value.is_empty() {
        let words = known.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        let problem = Problem::new(Code::EmptyList, found.span, "this list must not be empty");
        report.push(problem.hint(format!("name at least one of: {words}")));
        return None;
    }
    let mut set = BTreeSet::new();
    for entry in found.value {
        if !set.insert(entry.value) {
            report.push(Problem::new(Code::Duplicate, entry.span, "this is in the list already"));
        }
    }
    Some(At::new(set, found.span))
}
