//! Resolves the names in a policy's lifelines, before the cut, within a bound of time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::model::duration::written;
use crate::model::policy::Policy;

/// How long all names of a policy may take together: a plan must not hang where DNS is what is broken.
const PATIENCE: Duration = Duration::from_secs(3);

/// A name that did not resolve, or to an address at which nobody can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lifeline peer {name} {why}")]
pub struct ResolveError {
    /// The name.
    pub name: String,
    /// What the resolver said, or what is wrong with it.
    pub why: String,
}

/// The addresses of every host name in the policy's lifelines.
///
/// # Errors
/// The first name without an address, or with one that is no peer's: a lifeline that is not known cannot be kept.
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
    let refused = |why: String| ResolveError {
        name: name.to_owned(),
        why,
    };
    let failed = |why: String| refused(format!("could not be resolved within {}: {why}", written(PATIENCE)));
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
    if let Some((address, what)) = addresses.iter().find_map(|a| Some((a, nobodys(*a)?))) {
        return Err(refused(format!("resolves to {address}, which is {what} and no peer's")));
    }
    Ok(addresses.into_iter().collect())
}

/// What an address is that no peer can have: a resolver that blocks a name answers so, and a lifeline to it keeps nobody
/// connected.
fn nobodys(address: IpAddr) -> Option<&'static str> {
    let this_network = |address: IpAddr| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0);
    match address.to_canonical() {
        all if all.is_unspecified() || this_network(all) => Some("an unspecified address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("the broadcast address"),
        all if all.is_loopback() => Some("a loopback address"),
        all if all.is_multicast() => Some("a multicast address"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_at_which_nobody_can_be_are_no_lifeline() {
        for nobody in [
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "224.0.0.9",
            "ff02::1",
            "255.255.255.255",
            "::ffff:0.0.0.0",
            "::ffff:127.0.0.1",
        ] {
            assert!(nobodys(nobody.parse().unwrap()).is_some(), "{nobody}");
        }
        for peer in [
            "10.0.0.1",
            "192.0.2.255",
            "fe80::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "1.0.0.0",
        ] {
            assert_eq!(nobodys(peer.parse().unwrap()), None, "{peer}");
        }
    }

    #[test]
    fn a_name_that_leads_to_oneself_is_refused() {
        let error = one("127.0.0.1", Instant::now() + PATIENCE).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the lifeline peer 127.0.0.1 resolves to 127.0.0.1, which is a loopback address and no peer's"
        );
        assert!(one("192.0.2.1", Instant::now() + PATIENCE).is_ok());
    }
}
