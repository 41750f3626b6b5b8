//! `audit prove`: that a record is in the log, or that the log of now continues the log of then, to somebody who has only
//! a checkpoint.
//!
//! The proofs are those of RFC 6962 over SHA-256, hashes in hexadecimal, so any tool for Certificate Transparency can
//! check them. `leaf` is SHA-256(0x00 ‖ `record`), `record` being the record's line without its newline; `index` counts
//! from 0. Whoever checks computes the root from `leaf`, `index`, `size` and `path` (RFC 9162, section 2.1.3.2), or both
//! roots from `path` (section 2.1.4.2), and compares with the root in `checkpoint`, or in one that was kept elsewhere.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::log::{Examined, Log};
use crate::cli::Context;
use crate::cli::exit::{Exit, Failure, Situation};
use crate::model::ledger::{Anchors, Report, Verdict};
use crate::model::merkle::{self, Frontier, Proof};
use crate::model::names::Digest;
use crate::model::record::Record;

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct Arguments {
    /// The record that is in the log
    #[arg(group = "what", value_name = "SEQ")]
    sequence: Option<u64>,
    /// That the log begins as it was when it had so many records
    #[arg(long, group = "what", value_name = "SIZE")]
    since: Option<u64>,
    /// The size of the log to prove it for; that of the last seal, else all of it
    #[arg(long, value_name = "SIZE")]
    size: Option<u64>,
    /// A log on disk, without a daemon, in place of the log of the daemon at the socket
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What is proved, of a tree of which size.
#[derive(Clone, Copy, Debug)]
enum Claim {
    Inclusion(u64),
    Consistency(u64),
}

pub(super) fn perform(arguments: &Arguments, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let claim = match (arguments.sequence, arguments.since) {
        (Some(sequence), _) => Claim::Inclusion(sequence),
        (None, since) => Claim::Consistency(since.unwrap_or_default()),
    };
    let log = match &arguments.file {
        Some(file) => Log::find(file)?,
        None => Log::of_daemon(&context.client)?,
    };
    let mut examined = log.examine(Anchors::default(), |_, _| Ok(()))?;
    // The copy's name says nothing to whoever reads it.
    examined.file = examined.file.filter(|_| !log.is_of_daemon());
    let named = match &arguments.file {
        Some(file) => file.display().to_string(),
        None => format!("of the daemon at {}", context.client.socket().display()),
    };
    refuse_damaged(&examined, &named)?;
    let needed = match claim {
        Claim::Inclusion(least) | Claim::Consistency(least) => least,
    };
    let whole = examined.report.tree.size();
    let size = arguments.size.unwrap_or_else(|| size_for(needed, &examined.report));
    let proof = (size <= whole).then(|| prove(&log, claim, size)).transpose()?.flatten();
    let mut proof = proof.ok_or_else(|| {
        let detail = format!("there is no such proof: the log has {whole} records, records count from 1");
        Failure::new(Situation::Usage, detail, "")
    })?;
    let seal = examined.report.last_seal.filter(|seal| seal.checkpoint.size == size);
    proof["origin"] = json!(examined.report.origin);
    proof["checkpoint"] = json!(seal.map(|seal| seal.note));
    // A proof is for programs whatever the format.
    context.around.screen.text(&format!("{proof:#}\n"));
    Ok(Exit::Done)
}

/// That a record of an examined log is in it, for the size of the last seal if that is behind the record, else of all; none
/// if there is no such record.
pub(in crate::cli) fn inclusion(log: &Log, sequence: u64, report: &Report) -> Result<Option<Value>, Failure> {
    prove(log, Claim::Inclusion(sequence), size_for(sequence, report))
}

/// The size of a tree that has so many records at least, and a checkpoint if there is one.
fn size_for(needed: u64, report: &Report) -> u64 {
    let sealed = report.last_seal.as_ref().map(|seal| seal.checkpoint.size);
    sealed.filter(|size| *size >= needed).unwrap_or(report.tree.size())
}

/// Nothing is proved from a log that does not hold together.
pub(in crate::cli) fn refuse_damaged(examined: &Examined, named: &str) -> Result<(), Failure> {
    let damage = match &examined.report.verdict {
        Verdict::Intact | Verdict::TailUnproved | Verdict::KeyUnknown => return Ok(()),
        Verdict::Altered(damage) | Verdict::RolledBack(damage) => damage.to_string(),
        Verdict::Truncated(noted) => format!("it ends before record {}", noted.size),
    };
    let file = examined.file.as_ref().map(|file| file.display().to_string());
    let named = file.as_deref().unwrap_or(named);
    let detail = format!("the audit log {named} is damaged: {damage}");
    Err(Failure::new(
        Situation::AuditBroken,
        detail,
        "see `portcullis audit verify`",
    ))
}

/// Reads the log again while the proof collects what it needs; none if there is no such proof.
fn prove(log: &Log, claim: Claim, size: u64) -> Result<Option<Value>, Failure> {
    let proof = match claim {
        Claim::Inclusion(sequence) => sequence
            .checked_sub(1)
            .and_then(|index| Proof::of_inclusion(index, size)),
        Claim::Consistency(smaller) => Proof::of_consistency(smaller, size),
    };
    let Some(mut proof) = proof else {
        return Ok(None);
    };
    let mut tree = Frontier::default();
    let mut subject: Option<(String, Digest)> = None;
    let mut old_root = None;
    log.examine(Anchors::default(), |record: &Record, line: &[u8]| {
        if record.sequence > size {
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let leaf = merkle::leaf(text);
        proof.pass(record.sequence - 1, leaf);
        tree.push(leaf);
        match claim {
            Claim::Inclusion(sequence) if sequence == record.sequence => {
                subject = Some((String::from_utf8_lossy(text).into_owned(), leaf));
            }
            Claim::Consistency(smaller) if smaller == record.sequence => old_root = Some(tree.root()),
            Claim::Inclusion(_) | Claim::Consistency(_) => {}
        }
        Ok(())
    })?;
    Ok(proof.finish().map(|path| match claim {
        Claim::Inclusion(sequence) => json!({
            "format": "portcullis-inclusion/1",
            "index": sequence - 1,
            "leaf": subject.as_ref().map(|(_, leaf)| leaf),
            "path": path,
            "record": subject.as_ref().map(|(text, _)| text),
            "root": tree.root(),
            "sequence": sequence,
            "size": size,
        }),
        Claim::Consistency(smaller) => json!({
            "format": "portcullis-consistency/1",
            "path": path,
            "root": tree.root(),
            "size": size,
            "smaller_root": old_root,
            "smaller_size": smaller,
        }),
    }))
}
