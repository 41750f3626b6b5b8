//! From the text of a policy file to a checked [`Policy`], or to every problem in it at once.
//!
//! Read in three passes with values between them: the TOML syntax, the layout (which fields, which types, which words;
//! every value with its place in the file), and the rules, which refuse policies that are well written but unsafe. A
//! policy that leaves here is safe to plan; nothing else may make one. Nothing of the source that a terminal would
//! obey (control and bidirectional characters) may reach a message.

mod approval;
mod draft;
mod fields;
mod glob;
mod hook;
mod lifelines;
mod problems;
mod public;
mod routes;
mod rules;
mod scope;
mod values;
mod who;

use draft::Draft;
pub use problems::{Code, Colour, PolicyError, PolicyErrors};
use problems::{Problem, Report};
use toml::de::DeTable;

use super::policy::{NameOf, Policy};

/// The longest policy file, in bytes: four times the longest that anybody could review before a drill.
pub const SOURCE_MAX_BYTES: usize = 64 * 1024;

/// Reads a policy. `file_name` is for messages only; nothing is opened.
///
/// # Errors
/// Every problem of the file at once, in the order of their places; after an error of syntax only those of syntax,
/// since what would be found in the rest of the file is guesswork.
pub fn parse(file_name: &str, source: &str) -> Result<Policy, PolicyErrors> {
    parse_on_host(file_name, source, &|_, _| true)
}

/// The same on a host that knows these users and groups.
///
/// # Errors
/// As [`parse`], and if the policy names somebody else.
pub fn parse_on_host(
    file_name: &str,
    source: &str,
    knows: &dyn Fn(NameOf, &str) -> bool,
) -> Result<Policy, PolicyErrors> {
    let mut report = Report::default();
    let policy = check(source, knows, &mut report);
    match (policy, report.is_empty()) {
        (Some(policy), true) => Ok(policy),
        (None, true) => {
            let why = "the policy is incomplete in a way that has no message of its own";
            report.push(Problem::new(Code::MissingField, 0..0, why));
            Err(report.into_errors(file_name, source))
        }
        (_, false) => Err(report.into_errors(file_name, source)),
    }
}

fn check(source: &str, knows: &dyn Fn(NameOf, &str) -> bool, report: &mut Report) -> Option<Policy> {
    if source.len() > SOURCE_MAX_BYTES {
        let message = format!("the file has {} bytes, more than {SOURCE_MAX_BYTES}", source.len());
        report.push(Problem::new(Code::TooLarge, 0..0, message).hint("divide it into several policies"));
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(source);
    for error in &errors {
        report.push(Problem::new(
            Code::Syntax,
            error.span().unwrap_or(0..0),
            error.message(),
        ));
    }
    if !errors.is_empty() {
        return None;
    }
    let draft = Draft::read(document.get_ref(), report);
    rules::check(&draft, report);
    if let Some(who) = &draft.who {
        who.check(knows, report);
    }
    if let Some(Some(hook)) = &draft.hook {
        hook.check(knows, report);
    }
    draft.finish()
}
