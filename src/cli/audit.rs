//! `audit`: the records, the head of the chain, and whether a copy of the log is what was written.

pub(super) mod export;
pub(super) mod log;
pub(super) mod prove;
pub(super) mod verify;

use clap::Subcommand;
use jiff::Timestamp;

use super::client::{Question, encode};
use super::exit::{Exit, Failure};
use super::{Context, duration, render};
use crate::api::{AuditHead, AuditPage};
use crate::model::note::NoteError;

/// Where the daemon keeps the log unless it is told otherwise.
const DEFAULT_LOG: &str = "/var/lib/portcullis/audit.jsonl";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The records
    Show(Show),
    /// Whether a log is what was written, offline; exits 8 if not
    Verify(verify::Arguments),
    /// Where the log stands: note it, and `verify --head` can prove later that nothing was cut off
    Head {
        /// The last seal's checkpoint instead, a signed note for `verify --checkpoint`
        #[arg(long)]
        checkpoint: bool,
    },
    /// A proof, for whoever has only a checkpoint, that a record is in the log or that the log only grew
    Prove(prove::Arguments),
    /// The records for other systems, verified on the way
    Export(export::Arguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Only from this time on (RFC 3339), or from so long ago (2h)
    #[arg(long, value_parser = since, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only of this emergency, by its id or its first 8 characters
    #[arg(long, value_name = "ID")]
    emergency: Option<String>,
    /// Only of this user name or uid
    #[arg(long, value_name = "USER")]
    actor: Option<String>,
    /// Only of this kind, such as declared or restored
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// At most this many, the newest
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Why a text is no time or no head.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("{0:?} is neither a time such as 2026-11-24T03:00:00Z nor a duration such as 2h")]
    Time(String),
    #[error("{0:?} is not SIZE:HASH, as `portcullis audit head` prints it")]
    Head(String),
    #[error(transparent)]
    Key(NoteError),
}

pub(crate) fn perform(command: Command, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    match command {
        Command::Show(filter) => {
            let answer = context.client.ask::<AuditPage>(Question::get(filter.path()))?;
            let text = || render::audit::page(&answer.value);
            context.around.screen.result(&answer.json, text);
            Ok(Exit::Done)
        }
        Command::Verify(arguments) => verify::perform(arguments, context),
        Command::Head { checkpoint } => {
            let answer = context.client.ask::<AuditHead>(Question::get("/v1/audit/head"))?;
            let text = || match &answer.value.checkpoint {
                Some(note) if checkpoint => note.clone(),
                Some(_) | None => render::audit::head(&answer.value),
            };
            context.around.screen.result(&answer.json, text);
            Ok(Exit::Done)
        }
        Command::Prove(arguments) => prove::perform(&arguments, context),
        Command::Export(arguments) => export::perform(&arguments, context),
    }
}

impl Show {
    fn path(&self) -> String {
        let fields = [
            ("since", self.since.map(|time| time.to_string())),
            ("emergency", self.emergency.clone()),
            ("actor", self.actor.clone()),
            ("kind", self.kind.clone()),
            ("limit", self.limit.map(|limit| limit.to_string())),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?))));
        let query = given.collect::<Vec<_>>().join("&");
        if query.is_empty() {
            "/v1/audit".to_owned()
        } else {
            format!("/v1/audit?{query}")
        }
    }
}

fn since(text: &str) -> Result<Timestamp, ArgumentError> {
    let refused = || ArgumentError::Time(text.to_owned());
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let ago = duration::parse(text).map_err(|_| refused())?;
    Timestamp::now().checked_sub(ago).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_a_query_that_keeps_its_values_whole() {
        let show = Show {
            since: Some("2026-11-24T03:00:00Z".parse().unwrap()),
            emergency: None,
            actor: Some("a&b=c d".to_owned()),
            kind: None,
            limit: Some(5),
        };
        assert_eq!(
            show.path(),
            "/v1/audit?since=2026-11-24T03%3A00%3A00Z&actor=a%26b%3Dc%20d&limit=5"
        );
    }

    #[test]
    fn times_are_points_or_spans_before_now() {
        assert_eq!(
            since("2026-11-24T03:00:00Z").unwrap().to_string(),
            "2026-11-24T03:00:00Z"
        );
        let from = since("2h").unwrap();
        let ago = Timestamp::now().duration_since(from);
        assert!(ago.as_secs() >= 7200 && ago.as_secs() < 7300, "{ago}");
        for text in ["", "yesterday", "1d", "2026-11-24"] {
            assert_eq!(since(text), Err(ArgumentError::Time(text.to_owned())));
        }
    }
}
