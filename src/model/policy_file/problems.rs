//! What is wrong with a policy file: as data, and rendered with the line and a caret.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::{Serialize, Serializer};

use crate::model::place::line_and_column;

/// So many problems are kept; whoever has more has given the wrong file.
const PROBLEMS_MAX: usize = 64;
/// So much of one source line is shown, in bytes.
const LINE_MAX_BYTES: usize = 400;

macro_rules! codes {
    ($($name:ident $text:literal $meaning:literal)*) => {
        /// A stable name for a kind of problem, the same in text, JSON, log and metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name as it is written everywhere.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    TooLarge "policy-too-large" "The file is longer than [`super::SOURCE_MAX_BYTES`]."
    Syntax "policy-syntax" "It is not TOML."
    Schema "policy-schema" "Written for another version of this format."
    UnknownField "policy-unknown-field" "A field that this format does not have."
    MissingField "policy-missing-field" "A field without which nothing can be planned."
    WrongType "policy-wrong-type" "A value of another TOML type than the field's."
    UnknownWord "policy-unknown-word" "Not one of the words that the field takes."
    EmptyList "policy-empty-list" "A list that must name something."
    TooMany "policy-too-many" "More entries than the format allows."
    Duplicate "policy-duplicate" "Given twice."
    BadName "policy-bad-name" "The name breaks the rule for policy names."
    BadText "policy-bad-text" "Empty, too long, or with control characters."
    BadPattern "policy-bad-pattern" "Not a pattern over interface names."
    BadNumber "policy-bad-number" "A number out of range or reserved."
    BadAddress "policy-bad-address" "Neither an address, nor a prefix, nor, where allowed, a host name."
    HostBits "policy-host-bits" "A prefix with bits set behind its length."
    BadPort "policy-bad-port" "Neither a port nor a range of ports."
    BadDuration "policy-bad-duration" "Not a duration, or none."
    EmptyScope "policy-empty-scope" "Nothing would be cut."
    Loopback "policy-loopback" "It would cut what the host says to itself."
    Zones "policy-zones" "Zones that cannot be kept apart as written."
    GateForwardOnly "policy-gate-forward-only" "`gate` cannot tell forwarded from local traffic."
    RoutesNothing "policy-routes-nothing" "`routes` with nothing to withdraw or to null."
    RoutesUnused "policy-routes-unused" "Settings of `routes` that would have no effect."
    LifelineUnkept "policy-lifeline-unkept" "A lifeline over what the policy itself takes down."
    LifelinePeers "policy-lifeline-peers" "A lifeline without peers."
    LifelineOfEverything "policy-lifeline-of-everything" "A lifeline that leaves nothing to cut."
    LifelinePorts "policy-lifeline-ports" "Ports for a protocol that has none."
    LifelineInside "policy-lifeline-inside" "`inside` for traffic that is not forwarded."
    LifelineCarries "policy-lifeline-carries" "`carries` for what is no outer packet of a tunnel of this host."
    UnknownPeople "policy-unknown-people" "A user or a group that this host does not have."
    Hook "policy-hook" "Hooks that could never declare it, or must not."
    Limits "policy-limits" "Limits that contradict one another, or no end."
    Public "policy-public" "It affects the public without what that needs."
    TwoPerson "policy-two-person" "It affects the public, and one person could declare it."
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One problem, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyError {
    /// Its kind.
    pub code: Code,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes of the source.
    #[serde(skip)]
    pub span: Range<usize>,
}

/// All problems of one file, in the order of their places; never none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyErrors {
    file_name: String,
    source_text: String,
    errors: Vec<PolicyError>,
    left_out: usize,
}

/// Whether a rendering carries ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Bare text.
    Never,
    /// For a terminal.
    Always,
}

impl PolicyErrors {
    /// The file, as given to [`super::parse`], harmless to print.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The problems as data.
    #[must_use]
    pub fn errors(&self) -> &[PolicyError] {
        &self.errors
    }

    /// The problems as text with lines and carets, one paragraph each.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        let renderer = match colour {
            Colour::Never => Renderer::plain(),
            Colour::Always => Renderer::styled(),
        };
        let paragraphs = self.errors.iter().map(|e| self.paragraph(&renderer, e));
        let mut text = paragraphs.collect::<Vec<_>>().join("\n\n");
        if self.left_out > 0 {
            text += &format!("\n\nand {} more", self.left_out);
        }
        text
    }

    fn paragraph(&self, renderer: &Renderer, error: &PolicyError) -> String {
        let (line, span) = self.line_of(error);
        let snippet = Snippet::source(line)
            .line_start(error.line)
            .path(self.file_name.as_str())
            .annotation(AnnotationKind::Primary.span(span));
        let title = Level::ERROR
            .primary_title(error.message.as_str())
            .id(error.code.as_str());
        let first = title.element(snippet);
        match &error.hint {
            None => renderer.render(&[first]),
            Some(hint) => {
                let help = Group::with_title(Level::HELP.secondary_title(hint.as_str()));
                renderer.render(&[first, help])
            }
        }
    }

    /// The first line of a problem, and the part of its span that lies in it.
    fn line_of(&self, error: &PolicyError) -> (&str, Range<usize>) {
        let text = self.source_text.as_str();
        let start = text[..error.span.start].rfind('\n').map_or(0, |at| at + 1);
        let length = text[start..].find('\n').unwrap_or(text.len() - start);
        let line = &text[start..start + length];
        let shown = &line[..floor_char_boundary(line, LINE_MAX_BYTES)];
        let from = (error.span.start - start).min(shown.len());
        let to = error.span.end.saturating_sub(start).clamp(from, shown.len());
        (shown, from..to)
    }
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Colour::Never))
    }
}

/// A problem as it is found.
pub(super) struct Problem {
    code: Code,
    span: Range<usize>,
    message: String,
    hint: Option<String>,
}

impl Problem {
    pub(super) fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            code,
            span,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// Problems found so far.
#[derive(Default)]
pub(super) struct Report(Vec<Problem>);

impl Report {
    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts the problems into the order of their places.
    pub(super) fn into_errors(mut self, file_name: &str, source: &str) -> PolicyErrors {
        self.0.sort_by_key(|p| (p.span.start, p.code));
        let left_out = self.0.len().saturating_sub(PROBLEMS_MAX);
        self.0.truncate(PROBLEMS_MAX);
        let source = &source[..floor_char_boundary(source, super::SOURCE_MAX_BYTES)];
        PolicyErrors {
            file_name: harmless(file_name, Newlines::Replaced),
            source_text: harmless(source, Newlines::Kept),
            errors: self.0.into_iter().map(|p| placed(p, source)).collect(),
            left_out,
        }
    }
}

fn placed(problem: Problem, source: &str) -> PolicyError {
    let start = floor_char_boundary(source, problem.span.start);
    let end = floor_char_boundary(source, problem.span.end).max(start);
    let (line, column) = line_and_column(source, start);
    PolicyError {
        code: problem.code,
        message: harmless(&problem.message, Newlines::Replaced),
        hint: problem.hint.map(|h| harmless(&h, Newlines::Replaced)),
        line,
        column,
        span: start..end,
    }
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Newlines {
    Kept,
    Replaced,
}

/// The same text without characters that a terminal obeys, byte for byte as long, so that spans stay true.
fn harmless(text: &str, newlines: Newlines) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if newlines == Newlines::Kept => clean.push(c),
            '\t' | '\r' => clean.push(' '),
            c if obeyed_by_terminals(c) && c.len_utf8() == 3 => clean.push(char::REPLACEMENT_CHARACTER),
            c if obeyed_by_terminals(c) => clean.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => clean.push(c),
        }
    }
    clean
}

/// Control characters (C0, DEL, C1), and what changes the direction of text or is not seen at all (Unicode Bidi_Control,
/// zero-width characters, line and paragraph separators, tags).
pub(super) fn obeyed_by_terminals(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}
