//! Rehearsal: the whole life of an emergency on a copy of this host's network, in scratch network namespaces.
//!
//! [`run`] reads the network that it stands on, leaves it for ever, builds a copy with a far side for every link, runs
//! the daemon's own code there, and probes from both sides what the plan promises.
//!
//! Nothing here may touch the initial network namespace. Every function that changes a network demands a
//! [`namespace::NotInitial`], which only a check of the calling thread's own namespace gives.

mod copy;
mod far;
pub mod links;
pub mod namespace;
pub mod probe;
mod rehearsal;
pub mod report;
mod scene;
mod through;
mod watch;

use std::path::Path;
use std::time::Instant;

use self::namespace::Scratch;
use self::rehearsal::Rehearsal;
use self::report::Report;
pub use crate::daemon::controller::Arm;
use crate::daemon::no_plan::NoPlan;
use crate::daemon::policies::{LoadError, Policies};
use crate::kernel::netlink::Netlink;
use crate::kernel::{Kernel, Kinds};
use crate::model::object::Link;
use crate::model::snapshot::Snapshot;
use crate::planning;
use crate::store::audit::AUDIT;

/// Why a drill could not be held. It says nothing about the policy's worth, but for [`DrillError::Plan`].
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The policy is not valid.
    #[error("the policy cannot be rehearsed")]
    Policy(#[source] LoadError),
    /// There is no safe plan for this host.
    #[error("no safe plan for this host: {why} ({code})")]
    Plan {
        /// The stable code.
        code: &'static str,
        /// What is in the way.
        why: String,
        /// What to do.
        hint: String,
    },
    /// No scratch namespace.
    #[error("no scratch namespace")]
    Namespace(#[from] namespace::NamespaceError),
    /// A link of the copy could not be built.
    #[error("failed to build the copy")]
    Build(#[from] links::BuildError),
    /// The kernel cannot be read or changed.
    #[error("the kernel did not answer")]
    Kernel(#[from] crate::kernel::KernelError),
    /// The kernel refused a change of the rehearsal's own.
    #[error("the kernel refused a change of the rehearsal")]
    Refused(#[source] crate::kernel::ChangeError),
    /// A probe could not be made.
    #[error("a probe could not be made")]
    Probe(#[from] probe::ProbeError),
    /// The daemon did not start or stop.
    #[error("the daemon did not run in the copy")]
    Service(#[from] crate::daemon::service::ServiceError),
    /// The daemon refused.
    #[error("the daemon refused")]
    Api(#[from] crate::api::error::ApiError),
    /// A thread or a runtime could not be made.
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    /// No scratch directory for journal and audit log.
    #[error("failed to make a scratch state directory in {}", std::env::temp_dir().display())]
    State(#[source] std::io::Error),
    /// A name of the rehearsal's own is not valid.
    #[error("a name of the rehearsal is not valid")]
    Name(#[source] crate::model::names::NameError),
}

impl DrillError {
    /// What to do; empty where nothing can be advised.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Plan { hint, .. } => hint.clone(),
            Self::Namespace(error) => error.hint().unwrap_or_default(),
            Self::Api(error) => error.hint.clone(),
            Self::State(_) => "name a directory in TMPDIR that takes files".to_owned(),
            Self::Policy(_)
            | Self::Build(_)
            | Self::Kernel(_)
            | Self::Refused(_)
            | Self::Probe(_)
            | Self::Service(_)
            | Self::Thread(_)
            | Self::Name(_) => String::new(),
        }
    }
}

/// What a rehearsal leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// What was found.
    pub report: Report,
    /// The audit log of the daemon in the copy, line by line.
    pub log: String,
}

/// Rehearses a policy on a copy of the network of the calling process, which must have one thread only. `arm` says whether
/// the copy is armed beforehand.
///
/// # Errors
/// If the rehearsal could not be held; a rehearsal that was held and failed is a [`Report`] that says so.
pub fn run(file: &Path, source: String, arm: Arm) -> Result<Rehearsed, DrillError> {
    let begun = Instant::now();
    let policies = Policies::from_source(file, source).map_err(DrillError::Policy)?;
    // What an armed host has of ours is the business of the daemon in the copy.
    let host = planning::without_ours(&Netlink::open()?.snapshot(Kinds::ALL)?, &[]);
    carries_its_lifelines(&policies, &host)?;
    let scratch = Scratch::enter()?;
    let state = tempfile::Builder::new()
        .prefix("portcullis-drill-")
        .tempdir()
        .map_err(DrillError::State)?;
    let copy = copy::build(&host, scratch.proof())?;
    let plan = plan(&policies, &copy.state)?;
    let state = state.path().join("state");
    let mut report = Rehearsal::start(&copy, policies, &state, arm)?.run(&plan, begun)?;
    report.not_probed.extend(host.links.iter().filter_map(not_below));
    // No rehearsal fills a file of the log.
    let log = std::fs::read_to_string(state.join(AUDIT)).map_err(DrillError::State)?;
    Ok(Rehearsed { report, log })
}

/// In the copy a cable stands in for each link, so what carries a VLAN or a tunnel shows on the host alone.
fn carries_its_lifelines(policies: &Policies, host: &Snapshot) -> Result<(), DrillError> {
    match plan(policies, host) {
        Err(DrillError::Plan { code, why, hint }) if code == planning::CARRIED_BY_CUT => {
            Err(DrillError::Plan { code, why, hint })
        }
        // Whatever else is in the way is in the way in the copy, too, or is not copied, which the report says.
        Ok(_) | Err(_) => Ok(()),
    }
}

fn not_below(link: &Link) -> Option<String> {
    let kind = link.kind.as_deref().filter(|_| link.is_carried())?;
    Some(format!(
        "what carries {}: in the copy a cable stands in for the {kind}",
        link.name
    ))
}

fn plan(policies: &Policies, state: &Snapshot) -> Result<crate::model::plan::Plan, DrillError> {
    let refused = |NoPlan { code, why, hint }: NoPlan| DrillError::Plan { code, why, hint };
    let loaded = policies.iter().next().ok_or_else(|| {
        refused(NoPlan {
            code: "no-policy",
            why: "there is no policy".to_owned(),
            hint: String::new(),
        })
    })?;
    let pinned = crate::daemon::resolver::resolve(&loaded.policy).map_err(|e| refused(e.into()))?;
    planning::plan(&loaded.policy, state, state, &[], &pinned).map_err(|e| refused(e.into()))
}
