//! The only place that prints. Text is made by the functions in the files below this one, which are pure.
//!
//! Nothing that came from elsewhere reaches a terminal as more than text: see [`crate::model::record::safe`]. A reader who goes away (a
//! closed pipe) is no error; any other lost output is kept for [`Screen::finish`].

pub(crate) mod alert;
pub(crate) mod audit;
pub(crate) mod doctor;
pub(crate) mod drill;
pub(crate) mod order;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod receipt;
pub(crate) mod restore;
pub(crate) mod review;
pub(crate) mod status;

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use super::args::{Colour, Format};
use super::exit::Failure;
pub(crate) use crate::model::record::safe;

/// What a console at 3 a.m. shows.
const COLUMNS: u16 = 80;

/// Where output goes and how it looks.
pub(crate) struct Screen<'a> {
    streams: Streams<'a>,
    format: Format,
    fault: Option<io::Error>,
}

enum Streams<'a> {
    Process(ColorChoice),
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests give streams of their own"))]
    Given {
        out: Box<dyn Write + 'a>,
        err: Box<dyn Write + 'a>,
    },
}

/// One of the two streams.
#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl<'a> Screen<'a> {
    /// Standard output and standard error of this process.
    pub(crate) fn of_process() -> Self {
        Self {
            streams: Streams::Process(ColorChoice::Auto),
            format: Format::Text,
            fault: None,
        }
    }

    /// Streams of a test.
    #[cfg(test)]
    pub(crate) fn given(out: impl Write + 'a, err: impl Write + 'a) -> Self {
        Self {
            streams: Streams::Given {
                out: Box::new(out),
                err: Box::new(err),
            },
            format: Format::Text,
            fault: None,
        }
    }

    /// Takes over what the command line says about output.
    pub(crate) fn adopt(&mut self, format: Format, colour: Colour) {
        self.format = format;
        if let Streams::Process(choice) = &mut self.streams {
            *choice = match colour {
                Colour::Auto => ColorChoice::Auto,
                Colour::Always => ColorChoice::Always,
                Colour::Never => ColorChoice::Never,
            };
        }
    }

    /// The result of a command: the object, or its text.
    pub(crate) fn result(&mut self, json: &Value, text: impl FnOnce() -> String) {
        let out = match self.format {
            Format::Text => text(),
            Format::Json => format!("{json:#}\n"),
        };
        self.write(Stream::Out, &out);
    }

    /// A result that is text whatever the format, such as help.
    pub(crate) fn text(&mut self, text: &str) {
        self.write(Stream::Out, text);
    }

    /// One of many results, on one line.
    pub(crate) fn line(&mut self, json: &Value) {
        self.write(Stream::Out, &format!("{json}\n"));
    }

    /// A result in place of the one before it, where a terminal can do that.
    pub(crate) fn repaint(&mut self, text: &str) {
        self.write(Stream::Out, &format!("\x1b[H\x1b[2J{text}"));
    }

    /// Something for the person at the terminal that is not the result.
    pub(crate) fn say(&mut self, text: &str) {
        self.write(Stream::Err, text);
    }

    /// A question, with the cursor left behind it.
    pub(crate) fn ask(&mut self, question: &str) {
        self.write(Stream::Err, &format!("{question} "));
    }

    /// Something that the person should know.
    pub(crate) fn warn(&mut self, text: &str) {
        let text = format!("{} {}\n", paint(Paint::Caution, "warning:"), safe(text));
        self.write(Stream::Err, &text);
    }

    /// The next command, for people only.
    pub(crate) fn next(&mut self, text: &str) {
        if self.format == Format::Text && !text.is_empty() {
            self.write(
                Stream::Err,
                &format!("{} {}\n", paint(Paint::Strong, "next:"), safe(text)),
            );
        }
    }

    /// Why a command did not do what it was asked.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        let code = failure.situation.code();
        let head = paint(Paint::Alarm, &format!("error[{code}]:"));
        let mut text = format!("{head} {}\n", safe(&failure.detail));
        if !failure.hint.is_empty() {
            text += &format!("{} {}\n", paint(Paint::Strong, "hint:"), safe(&failure.hint));
        }
        self.write(Stream::Err, &text);
        if self.format == Format::Json {
            self.write(Stream::Out, &format!("{:#}\n", failure.json()));
        }
    }

    /// Whether nobody reads the results any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.fault.is_some()
    }

    /// Whether all output arrived, or its reader did not want it.
    ///
    /// # Errors
    /// The first error that is no closed pipe. It has been said on standard error.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self.fault.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let text = format!("{} output was lost: {error}\n", paint(Paint::Alarm, "error[output]:"));
                self.write(Stream::Err, &text);
                Err(error)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn write(&mut self, stream: Stream, text: &str) {
        if matches!((&self.fault, stream), (Some(_), Stream::Out)) {
            return;
        }
        let written = match (&mut self.streams, stream) {
            (Streams::Process(choice), Stream::Out) => put(AutoStream::new(io::stdout(), *choice), text),
            (Streams::Process(choice), Stream::Err) => put(AutoStream::new(io::stderr(), *choice), text),
            (Streams::Given { out, .. }, Stream::Out) => put(out, text),
            (Streams::Given { err, .. }, Stream::Err) => put(err, text),
        };
        // When standard error is gone there is no place left to say so.
        if let (Err(error), Stream::Out) = (written, stream) {
            self.fault = Some(error);
        }
    }
}

/// Flushed at once: what is still in a buffer when the process ends is lost without an error.
fn put(mut stream: impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

/// How a word stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    /// As it should be.
    Calm,
    /// To be known.
    Caution,
    /// To be acted on.
    Alarm,
    /// A heading.
    Strong,
}

/// ANSI colours (ECMA-48, SGR); the stream takes them out where they do not belong.
pub(crate) fn paint(paint: Paint, text: &str) -> String {
    let code = match paint {
        Paint::Calm => "32",
        Paint::Caution => "33",
        Paint::Alarm => "1;31",
        Paint::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Text of many lines from elsewhere; line ends and tabs stay.
pub(crate) fn lines(text: &str) -> String {
    // A snapshot of a million routes is plain ASCII, and 100 MiB of it are not looked at letter by letter.
    if text.ends_with('\n') && text.bytes().all(|b| matches!(b, b'\n' | b'\t' | b' '..=b'~')) {
        return text.to_owned();
    }
    let line = |line: &str| line.split('\t').map(safe).collect::<Vec<_>>().join("\t") + "\n";
    text.lines().map(line).collect()
}

/// A unified diff.
pub(crate) fn diff(text: &str) -> String {
    let line = |line: &str| {
        let safe = line.split('\t').map(safe).collect::<Vec<_>>().join("\t");
        match line.as_bytes().first() {
            Some(b'+') => paint(Paint::Calm, &safe) + "\n",
            Some(b'-') => paint(Paint::Alarm, &safe) + "\n",
            Some(_) | None => safe + "\n",
        }
    };
    text.lines().map(line).collect()
}

/// Columns without lines, wrapped to fit a console.
pub(crate) fn table(indent: &str, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    arranged(ContentArrangement::Dynamic, indent, rows)
}

/// Columns without lines, one line a row however long, for what is searched and copied.
pub(crate) fn list(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    arranged(ContentArrangement::Disabled, "", rows)
}

fn arranged(arrangement: ContentArrangement, indent: &str, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    let width = COLUMNS - u16::try_from(indent.len()).unwrap_or_default();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(arrangement)
        .set_width(width);
    for row in rows {
        table.add_row(row.iter().map(|cell| safe(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let text = table.to_string();
    text.lines()
        .map(|line| format!("{indent}{}", line.trim_end()).trim_end().to_owned() + "\n")
        .collect()
}

/// Names and values, one a line; values that are empty are left out.
pub(crate) fn fields<'a>(indent: &str, fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
    table(indent, given.map(|(name, value)| vec![name.to_owned(), value]))
}

/// A heading and lines below it; nothing where there are no lines.
pub(crate) fn section(style: Paint, heading: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("  {}\n", safe(item))).collect();
    format!("\n{}\n{items}", paint(style, heading))
}

/// The word of an enum as the API writes it.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}
