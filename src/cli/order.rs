//! `order`: drawn up here, signed anywhere, handed in by anybody.
//!
//! What is signed is a file, and `ssh-keygen` signs it: whoever signs needs neither this program nor this host.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::Question;
use super::exit::{Exit, Failure, Situation};
use super::{Context, approval, declare, duration, emergency, file, plan, render};
use crate::api::error::Code;
use crate::api::order::{NewAct, NewApproval, NewDeclaration, NewOrder, NewRevert, OrderDraft, OrderView, SignedOrder};

/// What `ssh-keygen` is told that the signature is for.
const NAMESPACE: &str = "order@portcullis";
/// Begins a signature.
const ARMOUR: &str = "-----BEGIN SSH SIGNATURE-----";
/// Longer than any order with its signature.
const FILE_MAX_BYTES: u64 = 16 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Draw up an order for somebody to sign; changes nothing
    ///
    /// The order goes to standard output, byte for byte as it is to be signed.
    New {
        /// What is to be ordered.
        #[command(subcommand)]
        act: New,
    },
    /// Show an order and sign it by ssh-keygen
    ///
    /// The same as `ssh-keygen -Y sign -n order@portcullis -f KEY FILE`, which does on a machine without this program.
    /// The signature goes to FILE.sig.
    Sign(Sign),
    /// Hand in a signed order
    Submit(Submit),
}

#[derive(Debug, Subcommand)]
pub(crate) enum New {
    /// An order to declare an emergency, over the plan as it is now
    Declare(NewDeclare),
    /// An order to approve what another person declared
    Approve(NewApprove),
    /// An order to end an emergency, or every one under a policy; it can lie ready before there is one
    Revert(NewEnd),
}

#[derive(Debug, Args)]
pub(crate) struct NewDeclare {
    /// The policy's name
    policy: String,
    /// Why, in your own words
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The legal or organisational basis, or a ticket
    #[arg(long, value_name = "TEXT")]
    authority: String,
    /// What for; may be left out where the policy allows just one occasion
    #[arg(long, value_name = "OCCASION")]
    occasion: Option<String>,
    /// How long; the policy's default where absent
    #[arg(long = "for", value_parser = duration::parse, value_name = "DURATION")]
    duration: Option<Duration>,
    /// End by itself unless confirmed within this time
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    confirm_within: Option<Duration>,
    /// For how long the order is good: an hour at most [default: 15m]
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    valid_for: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct NewApprove {
    /// The declaration's id or its first 8 characters; may be left out when exactly one waits
    id: Option<String>,
    /// The digest of the plan that is approved (`portcullis status`)
    #[arg(long, value_name = "DIGEST")]
    plan: String,
    /// For how long the order is good: an hour at most [default: 15m]
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    valid_for: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct NewEnd {
    /// The policy: every emergency under it is ended
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    policy: Option<String>,
    /// The emergency's whole id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// For how long the order is good: 2160h (90 days) at most [default: 24h]
    #[arg(long, value_parser = duration::parse, value_name = "DURATION")]
    valid_for: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The order, as `portcullis order new` wrote it
    file: PathBuf,
    /// Your private key, or the public one of a key in the agent or in a security key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The order, with its signature in FILE.sig or behind it in the same file; `-` for standard input
    file: PathBuf,
}

pub(crate) fn perform(command: Command, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    match command {
        Command::New { act } => new(act, context),
        Command::Sign(arguments) => sign(&arguments, context),
        Command::Submit(arguments) => submit(&arguments, context),
    }
}

fn new(act: New, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let (act, valid_for) = match act {
        New::Declare(arguments) => {
            // Whoever has it drawn up sees what is to be signed; the daemon holds the plan to it.
            let plan = plan::ask(context, &arguments.policy, arguments.duration, None)?.value;
            context.around.screen.say(&render::plan::plan(&plan));
            let declaration = NewDeclaration {
                policy: arguments.policy,
                occasion: arguments.occasion,
                reason: arguments.reason,
                authority: arguments.authority,
                duration_ms: arguments.duration.map(duration::millis),
                confirm_within_ms: arguments.confirm_within.map(duration::millis),
                plan: plan.digest,
            };
            (NewAct::Declare(declaration), arguments.valid_for)
        }
        New::Approve(arguments) => {
            let emergency = approval::id(context, arguments.id.as_deref())?;
            let plan = arguments.plan;
            (NewAct::Approve(NewApproval { emergency, plan }), arguments.valid_for)
        }
        New::Revert(arguments) => {
            let what = match (arguments.policy, arguments.id) {
                (Some(policy), _) => NewRevert::Policy(policy),
                (None, id) => NewRevert::Emergency(id.unwrap_or_default()),
            };
            (NewAct::Revert(what), arguments.valid_for)
        }
    };
    let request = NewOrder {
        act,
        valid_for_ms: valid_for.map(duration::millis),
    };
    let answer = context
        .client
        .ask::<OrderDraft>(Question::post("/v1/orders/new", &request))?;
    let order = answer.value.order.clone();
    context.around.screen.result(&answer.json, || order);
    let until = &answer.value.valid_until;
    let next = format!(
        "good until {until}: `portcullis order sign FILE --key KEY`, or `ssh-keygen -Y sign -n {NAMESPACE} -f KEY FILE`"
    );
    context.around.screen.next(&next);
    Ok(Exit::Done)
}

fn sign(arguments: &Sign, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let order = text(&arguments.file)?;
    let shown: Value = serde_json::from_str(&order).map_err(|_| no_order(&arguments.file))?;
    if shown.get("act").is_none() {
        return Err(no_order(&arguments.file));
    }
    context.around.screen.say(&render::order::order(&shown));
    let failed = |why: String| {
        let detail = format!("failed to sign {}: {why}", arguments.file.display());
        let hint = "nothing was handed in; `ssh-keygen` is in the package openssh-client";
        Failure::new(Situation::Unreadable, detail, hint)
    };
    let ended = Process::new("ssh-keygen")
        .args(["-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(&arguments.key)
        .arg("--")
        .arg(&arguments.file)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| failed(format!("ssh-keygen: {error}")))?;
    if !ended.success() {
        return Err(failed(format!("ssh-keygen: {ended}")));
    }
    let signature = signature_of(&arguments.file);
    let json = serde_json::json!({ "order": arguments.file, "signature": signature });
    let text = || format!("{}\n", signature.display());
    context.around.screen.result(&json, text);
    let next = format!("`portcullis order submit {}` on the host", arguments.file.display());
    context.around.screen.next(&next);
    Ok(Exit::Done)
}

fn submit(arguments: &Submit, context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let signed = signed(&arguments.file)?;
    let answer = context.client.ask::<OrderView>(Question::post("/v1/orders", &signed))?;
    let view = &answer.value;
    let text = || render::order::done(view);
    context.around.screen.result(&answer.json, text);
    if let Some(emergency) = &view.emergency {
        context
            .around
            .screen
            .next(&render::status::next_after_declare(emergency));
        return Ok(declare::exit(emergency.state));
    }
    let receipts = view.receipts.iter().map(emergency::restored);
    Ok(receipts.max().unwrap_or(Exit::Done))
}

/// The order and its signature, from one file or two.
fn signed(path: &Path) -> Result<SignedOrder, Failure> {
    let whole = if path == Path::new("-") {
        bounded(io::stdin()).map_err(|error| unreadable(path, &error))?
    } else {
        text(path)?
    };
    let (order, signature) = match whole.find(ARMOUR) {
        Some(at) => (whole[..at].to_owned(), whole[at..].to_owned()),
        None if path == Path::new("-") => {
            let detail = "there is no signature on standard input";
            return Err(Failure::new(
                Situation::Usage,
                detail,
                "`cat FILE FILE.sig | portcullis order submit -`",
            ));
        }
        None => (whole, text(&signature_of(path))?),
    };
    Ok(SignedOrder { order, signature })
}

/// Where `ssh-keygen` puts the signature of a file.
fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

fn text(path: &Path) -> Result<String, Failure> {
    let read = file::open(path).and_then(bounded);
    read.map_err(|error| unreadable(path, &error))
}

fn bounded(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(FILE_MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX_BYTES {
        let why = format!("it has more than {FILE_MAX_BYTES} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let detail = format!("failed to read {}: {error}", path.display());
    Failure::new(
        Situation::Unreadable,
        detail,
        "name an order that you may read, beside its signature",
    )
}

fn no_order(path: &Path) -> Failure {
    let detail = format!("{} is no order", path.display());
    let hint = "sign the file that `portcullis order new` wrote";
    Failure::new(Situation::Api(Code::BadRequest), detail, hint)
}
