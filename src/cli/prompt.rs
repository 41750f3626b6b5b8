//! Asking. Only a terminal is ever asked.

use std::io::{BufRead, IsTerminal, Read};

use super::render::Screen;

/// The longest line that is read as an answer.
const LINE_BYTES: u64 = 4096;

/// Whether there is somebody to ask, and where their answer comes from.
pub(crate) enum Terminal<'a> {
    /// Somebody reads standard error and writes standard input.
    Person(Box<dyn BufRead + 'a>),
    /// A script, a hook, a pipe.
    Nobody,
}

impl Terminal<'_> {
    /// Of this process.
    pub(crate) fn of_process() -> Self {
        let (stdin, stderr) = (std::io::stdin(), std::io::stderr());
        if stdin.is_terminal() && stderr.is_terminal() {
            Self::Person(Box::new(stdin.lock()))
        } else {
            Self::Nobody
        }
    }

    /// Asks for one line. None if there is nobody, or they closed the input.
    pub(crate) fn ask(&mut self, screen: &mut Screen<'_>, question: &str) -> Option<String> {
        let Self::Person(input) = self else {
            return None;
        };
        screen.ask(question);
        let mut line = String::new();
        let read = input.take(LINE_BYTES).read_line(&mut line);
        matches!(read, Ok(bytes) if bytes > 0).then(|| line.trim_end_matches(['\n', '\r']).to_owned())
    }
}
