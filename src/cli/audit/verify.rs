//! `audit verify`: whether a log is what was written, and since when nothing proves it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::ArgumentError;
use super::log::{Examined, Log, unreadable};
use crate::cli::exit::{Exit, Failure, Situation};
use crate::cli::{Context, file, render};
use crate::model::ledger::{Anchors, Damage, Noted, NotedHash, Verdict};
use crate::model::note::{Checkpoint, NOTE_MAX_BYTES, Note, NoteKey};

/// As many digits of a root as `audit head` prints for the telephone.
const SHORT_DIGITS: usize = 12;
const HASH_DIGITS: usize = 64;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The log; the closed files before it are found beside it
    #[arg(default_value = super::DEFAULT_LOG, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    anchors: AnchorArguments,
}

/// What was noted of a log elsewhere.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AnchorArguments {
    /// A head that was noted earlier and must turn up in the log: SIZE:HASH or SIZE:SHORT of `audit head`; may be given
    /// more than once
    #[arg(long = "head", value_parser = noted, value_name = "SIZE:HASH")]
    heads: Vec<Noted>,
    /// A checkpoint (signed note) that was kept elsewhere and must be of the log's past; may be given more than once
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// The first key of a chain of keys, as `audit verify` printed it when the chain was new; may be given more than once
    #[arg(long = "key", value_parser = key, value_name = "KEY")]
    keys: Vec<NoteKey>,
}

pub(super) fn perform(arguments: Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let anchors = arguments.anchors.read()?;
    let something_was_noted = anchors != Anchors::default();
    let examined = Log::find(&arguments.file)?.examine(anchors, |_, _| Ok(()))?;
    let screen = &mut context.around.screen;
    screen.result(&as_json(&examined), || {
        render::audit::report(&examined.report, examined.file.as_deref())
    });
    Ok(match examined.report.verdict {
        Verdict::Intact | Verdict::TailUnproved => Exit::Done,
        // With nothing to compare with it is no contradiction.
        Verdict::KeyUnknown if !something_was_noted => Exit::Done,
        Verdict::KeyUnknown | Verdict::Altered(_) | Verdict::Truncated(_) | Verdict::RolledBack(_) => {
            Situation::AuditBroken.exit()
        }
    })
}

impl AnchorArguments {
    /// With the checkpoints read from their files.
    pub(in crate::cli) fn read(self) -> Result<Anchors, Failure> {
        let mut anchors = Anchors {
            keys: self.keys,
            noted: self.heads,
        };
        for path in &self.checkpoints {
            anchors.noted.push(checkpoint(path)?.into());
        }
        Ok(anchors)
    }
}

/// Reads a checkpoint. It is trusted because of where it was kept; its signatures are for those who got it by mail.
fn checkpoint(path: &Path) -> Result<Checkpoint, Failure> {
    let mut text = String::new();
    let file = file::open(path).map_err(|error| unreadable(path, &error))?;
    let read = file.take(NOTE_MAX_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(|error| unreadable(path, &error))?;
    let checkpoint = text.parse::<Note>().and_then(|note| note.text().parse());
    checkpoint.map_err(|error| {
        let detail = format!("{} holds no checkpoint: {error}", path.display());
        Failure::new(
            Situation::Usage,
            detail,
            "give the file that `portcullis audit head --checkpoint` wrote",
        )
    })
}

pub(super) fn noted(text: &str) -> Result<Noted, ArgumentError> {
    let refused = || ArgumentError::Head(text.to_owned());
    let (size, hash) = text.split_once(':').ok_or_else(refused)?;
    let size = size.parse().map_err(|_| refused())?;
    let digits: String = hash.chars().filter(|c| *c != '-').collect();
    let digits = digits.to_ascii_lowercase();
    let hash = match digits.len() {
        HASH_DIGITS => NotedHash::Whole(digits.parse().map_err(|_| refused())?),
        SHORT_DIGITS if digits.bytes().all(|b| b.is_ascii_hexdigit()) => NotedHash::Short(digits),
        _ => return Err(refused()),
    };
    if size == 0 {
        return Err(refused());
    }
    Ok(Noted {
        size,
        hash,
        origin: None,
    })
}

fn key(text: &str) -> Result<NoteKey, ArgumentError> {
    text.parse().map_err(ArgumentError::Key)
}

fn as_json(examined: &Examined) -> Value {
    let report = &examined.report;
    let damage = match &report.verdict {
        Verdict::Altered(damage) | Verdict::RolledBack(damage) => Some(damage_json(damage, examined.file.as_deref())),
        Verdict::Truncated(noted) => Some(json!({ "noted_size": noted.size })),
        Verdict::Intact | Verdict::TailUnproved | Verdict::KeyUnknown => None,
    };
    let chains = report.chains.iter().map(|chain| {
        json!({
            "first_key": chain.first.to_string(), "first_seal": chain.from, "last_seal": chain.to,
            "epochs": chain.epochs, "boot_id": chain.boot_id, "vouched": chain.vouched,
        })
    });
    let windows = report.windows.iter().map(|window| {
        json!({ "after": window.after, "records": window.records, "since": window.since, "until": window.until })
    });
    json!({
        "verdict": report.verdict.word(),
        "head": report.head,
        "size": report.tree.size(),
        "root": report.tree.root(),
        "origin": report.origin,
        "proved": report.proved,
        "chains_of_keys": chains.collect::<Vec<_>>(),
        "not_proved": windows.collect::<Vec<_>>(),
        "remarks": report.remarks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "damage": damage,
    })
}

fn damage_json(damage: &Damage, file: Option<&Path>) -> Value {
    json!({
        "file": file.map(|file| file.display().to_string()),
        "line": damage.line,
        "offset": damage.offset,
        "sequence": damage.sequence,
        "until": damage.until,
        "flaw": damage.why.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_a_size_and_a_hash_or_the_short_form() {
        let hash = "ab".repeat(32);
        assert_eq!(noted(&format!("7:{hash}")).unwrap().size, 7);
        let short = NotedHash::Short("0123456789ab".to_owned());
        for text in ["7:0123456789ab", "7:0123-4567-89AB"] {
            assert_eq!(noted(text).unwrap().hash, short, "{text}");
        }
        for text in ["", "7", "7:", "x:ab", "0:0123456789ab", "7:0123456789ag", &hash] {
            assert!(noted(text).is_err(), "{text}");
        }
    }
}
