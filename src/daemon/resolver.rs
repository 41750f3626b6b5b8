//! Resolves the names in a policy's lifelines, before the cut, within a bound of time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::model::duration::written;
use crate::model::policy::Policy;

/// How long all names of a policy may take together: a plan must not hang where DNS is what is broken.
const PATIENCE: Duration = Duration::from_secs(3);

/// A name that did not resolve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lifeline peer {name} could not be resolved within {}: {why}", written(PATIENCE))]
pub struct ResolveError {
    /// The name.
    pub name: String,
    /// What the resolver said.
    pub why: String,
}

/// The addresses of every host name in the policy's lifelines.
///
/// # Errors
/// The first name without an address: a lifeline that is not known cannot be kept.
pub fn resolve(policy: &Policy) -> Result<BTreeMap<String, Vec<IpAddr>>, ResolveError> {
    let names: BTreeSet<String> = policy
        .lifelines
        .iter()
        .flat_map(|l| l.peer_names.iter().cloned())
        .collect();
    let until = Instant::now() + PATIENCE;
    names
        .into_iter()
        .map(|name| one(&name, until).map(|addresses| (name, addresses)))
        .collect()
}

fn one(name: &str, until: Instant) -> Result<Vec<IpAddr>, ResolveError> {
    let failed = |why: String| ResolveError {
        name: name.to_owned(),
        why,
    };
    let (send, receive) = mpsc::channel();
    let asked = name.to_owned();
    // getaddrinfo(3) cannot be interrupted: a thread that hangs in it is left behind and ends by the resolver's own limit.
    let resolving = std::thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        send.send(
            (asked.as_str(), 0)
                .to_socket_addrs()
                .map(|found| found.collect::<Vec<_>>()),
        )
    });
    resolving.map_err(|error| failed(error.to_string()))?;
    let found = receive
        .recv_timeout(until.saturating_duration_since(Instant::now()))
        .map_err(|_| failed("no answer".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    let addresses: BTreeSet<IpAddr> = found.into_iter().map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(failed("it has no address".to_owned()));
    }
    Ok(addresses.into_iter().collect())
}
