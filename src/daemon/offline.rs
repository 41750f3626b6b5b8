//! `portcullis restore --offline`: recovery by one person who has root and nothing else. No daemon, no socket, no policy.
//!
//! It takes the state directory, from a guardian if that holds a dead daemon's cut, and the network namespace; so it never
//! acts beside a daemon. Without a state directory it goes by the marks in the kernel alone.

use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::clock::SystemClock;
use super::command::Peer;
use super::config::{Config, Flags};
use super::controller::{Controller, StartError};
use super::namespace::{self, ClaimError};
use super::{actor, guardian};
use crate::api::error::chain;
use crate::api::offline::{NotRestored, Obstacle, OfflineRestore, Place};
use crate::kernel::netlink::Netlink;
use crate::kernel::{Kernel as _, Kinds};
use crate::model::snapshot::Snapshot;
use crate::store::StoreError;
use crate::store::directory::StateDirectory;
use crate::store::ratchet::Keeping;

/// The canonical snapshot of the network namespace that the caller stands in.
///
/// # Errors
/// If the kernel cannot be read.
pub fn snapshot() -> Result<Snapshot, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Netlink::open()?.snapshot(Kinds::ALL)?)
}

/// Ends whatever is held in this network namespace and brings the host back.
///
/// # Errors
/// If somebody else holds the state directory or the namespace, or if either or the kernel cannot be used; then nothing
/// has changed.
pub fn restore(wanted: &Place) -> Result<OfflineRestore, NotRestored> {
    let (state, keeping) = place(wanted)?;
    // Of a directory that is not there nothing can be known, and none is made for it.
    let scratch = tempfile::tempdir();
    let state = match scratch.as_ref() {
        Ok(scratch) if !state.exists() => scratch.path().join("state"),
        Ok(_) | Err(_) => state,
    };
    let directory = take(&state)?;
    let claim = namespace::claim().map_err(|e| claimed(&e))?;
    let kernel = Netlink::open().map_err(|e| unusable(&e, "rtnetlink must answer in this namespace"))?;
    let clock = SystemClock::new().map_err(|e| unusable(&e, "mount /proc"))?;
    let asker = actor::of(&Peer::own());
    let done = Controller::restore_offline(Box::new(kernel), Box::new(clock), directory, &keeping, &asker).map_err(
        |e| match &e {
            StartError::Store(store) => unusable(&e, &store.hint()),
            StartError::Kernel(_) => unusable(&e, "run it as root in the host's network namespace"),
        },
    );
    drop(claim);
    done
}

/// The state directory and the place of the log's keys. A configuration that cannot be read matters only where it would
/// have to name the directory.
fn place(wanted: &Place) -> Result<(PathBuf, Keeping), NotRestored> {
    let Place { state, config } = wanted;
    let mut words = vec!["portcullisd".into()];
    for (flag, path) in [("--state", state), ("--config", config)] {
        if let Some(path) = path {
            words.extend([flag.into(), path.as_os_str().to_owned()]);
        }
    }
    let loaded = Flags::try_parse_from(words).map(|flags| Config::load(&flags));
    let why = match (loaded, state) {
        (Ok(Ok(config)), _) => return Ok((config.state, Keeping::File(config.audit_key))),
        (Ok(Err(_)) | Err(_), Some(state)) => return Ok((state.clone(), Keeping::Memory)),
        (Ok(Err(error)), None) => chain(&error),
        (Err(error), None) => error.to_string(),
    };
    Err(NotRestored {
        kind: Obstacle::Configuration,
        detail: format!("the configuration does not say where the state directory is: {why}"),
        hint: "name it: `portcullis restore --offline --state /var/lib/portcullis`".to_owned(),
    })
}

fn take(state: &Path) -> Result<StateDirectory, NotRestored> {
    guardian::relieve(state).map_err(|error| {
        if let StoreError::InUse { holder, .. } = &error {
            return in_use(chain(&error), holder.as_ref().map(|h| h.pid));
        }
        unusable(&error, &error.hint())
    })
}

fn claimed(error: &ClaimError) -> NotRestored {
    match error {
        ClaimError::Held { holder, .. } => in_use(chain(error), holder.as_ref().map(|h| h.pid)),
        ClaimError::System(_) => unusable(error, &error.hint()),
    }
}

fn in_use(detail: String, pid: Option<i32>) -> NotRestored {
    let pid = pid.map_or_else(|| "PID".to_owned(), |pid| pid.to_string());
    NotRestored {
        kind: Obstacle::InUse,
        detail,
        hint: format!(
            "ask it: `portcullis revert --all`; if it does not answer, `kill -KILL {pid}` and run this again at once"
        ),
    }
}

fn unusable(error: &(dyn std::error::Error + 'static), hint: &str) -> NotRestored {
    NotRestored {
        kind: Obstacle::Unusable,
        detail: chain(error),
        hint: hint.to_owned(),
    }
}
