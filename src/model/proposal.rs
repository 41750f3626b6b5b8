//! A proposal: the text of a commented policy for one host, written from its snapshot.
//!
//! It is a place to begin and decides nothing: whoever loads the policy has read it. What it found and what it assumed
//! stands in its comments. Every proposal is a valid policy of the format that [`super::policy_file`] reads.

mod survey;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnet::IpNet;

use self::survey::{Management, SeenLink, Survey};
use super::names::PolicyName;
use super::snapshot::Snapshot;

/// So many of what is not listed are named.
const UNLISTED_TOLD: usize = 16;
/// Where sshd listens unless a session says otherwise.
const SSH_PORT: u16 = 22;

/// What a proposed policy cuts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposedScope {
    /// The whole host.
    Host,
    /// The links that carry a default route, by name.
    Uplinks,
}

/// The session of whoever asks: it shows the way by which this host is administered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnSession {
    /// Where they sit.
    pub peer: IpAddr,
    /// The port of this host that they use.
    pub port: u16,
}

/// There is nothing to propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// Nothing but loopback.
    #[error("this host has no link but loopback")]
    NoLink,
    /// No route leads out.
    #[error("no link of this host carries a default route")]
    NoUplink,
}

/// Writes a policy of this name for this host.
///
/// # Errors
/// If the host has no link to cut.
pub fn propose(
    host: &Snapshot,
    name: &PolicyName,
    scope: ProposedScope,
    session: Option<OwnSession>,
) -> Result<String, ProposalError> {
    // Who comes from this host itself shows no way in.
    let session = session.filter(|s| !s.peer.is_loopback() && !host.addresses.iter().any(|a| a.own() == s.peer));
    let survey = Survey::of(host, scope, session);
    if survey.links.is_empty() {
        return Err(ProposalError::NoLink);
    }
    if scope == ProposedScope::Uplinks && survey.uplinks().next().is_none() {
        return Err(ProposalError::NoUplink);
    }
    Ok([
        head(&survey, name, scope),
        scope_section(&survey, scope),
        lifeline(&survey, session),
        keep(&survey),
        ending(scope).to_owned(),
    ]
    .concat())
}

fn head(survey: &Survey, name: &PolicyName, scope: ProposedScope) -> String {
    let (title, affects, summary) = match scope {
        ProposedScope::Host => (
            "Isolate this host: nothing in, nothing out, nothing through, but SSH from where it is administered.",
            remark(
                "affects = \"own-hosts\"",
                "\"own-staff\" if people work on it or through it",
            ),
            "Cut this host off but for SSH from where it is administered",
        ),
        ProposedScope::Uplinks => (
            "Sever the uplinks of this host: what is behind its other links goes on.",
            remark(
                "affects = \"own-staff\"",
                "\"own-hosts\" if nobody but this host uses the uplinks",
            ),
            "Cut this host's links to the outside; everything else goes on",
        ),
    };
    let links: String = survey.links.iter().map(seen).collect();
    format!(
        "# {title}
#
# Proposed by `portcullis policy new` from what the kernel held at that moment. Read it, change it, then
#   portcullis policy check FILE      is it valid?
#   portcullis drill FILE             does it hold on a copy of this host's network?
# and only then put it into /etc/portcullis/policies and restart portcullisd.
#
# Links seen:
{links}
schema = 1
name = {name}
summary = \"{summary}\"
declared-for = [\"public-security-emergency\", \"security-incident\", \"maintenance\", \"exercise\"]
{affects}",
        name = quoted(name.as_ref()),
    )
}

fn seen(link: &SeenLink) -> String {
    let mut facts: Vec<String> = link.addresses.iter().map(ToString::to_string).collect();
    if link.uplink {
        facts.insert(0, "default route".to_owned());
    }
    if facts.is_empty() {
        facts.push("no address".to_owned());
    }
    format!("#   {:<15} {}\n", link.name, facts.join(", "))
}

fn scope_section(survey: &Survey, scope: ProposedScope) -> String {
    let (interfaces, methods) = match scope {
        ProposedScope::Host => (
            remark(
                "interfaces = [\"*\"]",
                "every link but loopback, links of the future included",
            ),
            remark("use = [\"gate\", \"seal\"]", "each is the other's second copy"),
        ),
        ProposedScope::Uplinks => {
            let names: Vec<String> = survey.uplinks().map(|l| pattern(&l.name)).collect();
            let by_route = remark(
                "# default-route = true",
                "instead of names: whatever carries a default route when declared",
            );
            (
                format!("interfaces = [{}]\n{by_route}", names.join(", ")),
                "use = [\"gate\"]\n".to_owned(),
            )
        }
    };
    format!(
        "
[scope]
{interfaces}families = [\"ipv4\", \"ipv6\"]
directions = [\"in\", \"out\", \"forward\"]

[methods]
{methods}"
    )
}

fn lifeline(survey: &Survey, session: Option<OwnSession>) -> String {
    let port = session.map_or(SSH_PORT, |s| s.port);
    let carried: String = survey.carried.iter().map(below).collect();
    let kept = match &survey.management {
        Management::Peer { peer, net } => format!(
            "
# {peer} is where you sit now, by SSH_CONNECTION. Add whoever else must get in: you may be elsewhere then.
[[lifelines]]
{}",
            lifeline_fields(&[*net], port)
        ),
        Management::Prefixes(nets, left_out) => format!(
            "
# The private prefixes that are routed over the links of the scope; no SSH session showed who must get in. The jump
# hosts alone are better.
{}[[lifelines]]
{}",
            unlisted(left_out),
            lifeline_fields(nets, port)
        ),
        Management::OtherLinks => {
            "\n# SSH over the other links goes on by itself: they are not cut, so it needs no lifeline.\n".to_owned()
        }
        Management::Unknown => console_only(),
    };
    carried + &kept
}

/// A way in that lies within something else.
fn below((name, kind): &(String, String)) -> String {
    format!(
        "
# {name} is a way in, of kind {kind}: other links carry it. Where this policy cuts those, a plan that has a lifeline over
# {name} is refused (lifeline-carried-by-cut), and without a lifeline over it that way is lost. Keep the outer packets of a
# tunnel by a lifeline of their own with `carries`; put the link below a VLAN into `exclude`, or use seal alone.
"
    )
}

/// What is not listed must not look as if it were kept.
fn unlisted(nets: &[IpNet]) -> String {
    let told: Vec<String> = nets.iter().take(UNLISTED_TOLD).map(written).collect();
    match nets.len() - told.len() {
        _ if nets.is_empty() => String::new(),
        0 => format!("# NOT KEPT, because there are so many: {}.\n", told.join(", ")),
        more => format!(
            "# NOT KEPT, because there are so many: {}, and {more} more.\n",
            told.join(", ")
        ),
    }
}

fn console_only() -> String {
    let fields = lifeline_fields(&[], SSH_PORT);
    let commented: String = fields.lines().map(|line| format!("# {line}\n")).collect();
    format!(
        "
# NO WAY IN IS KEPT over the links of the scope: neither an SSH session nor a private prefix shows how this host is
# administered. Unless there is another way, only its console is left. Fill in and uncomment:
# [[lifelines]]
{commented}"
    )
}

fn lifeline_fields(peers: &[IpNet], port: u16) -> String {
    let peers = if peers.is_empty() {
        "\"192.0.2.0/24\"".to_owned()
    } else {
        peers
            .iter()
            .map(|net| quoted(&written(net)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    format!(
        "name = \"management ssh\"
peers = [{peers}]
protocol = \"tcp\"
ports = [{port}]
direction = \"in\"
"
    )
}

fn keep(survey: &Survey) -> String {
    let line = |key: &str, evidence: &Option<String>, without: &str| match evidence {
        Some(evidence) => remark(&format!("{key} = true"), evidence),
        None => remark(&format!("{key} = false"), without),
    };
    format!(
        "
# The host's own addresses, or a lifeline dies with the lease.
[keep]
{}{}",
        line("dhcp", &survey.dhcp, "no address has a lease, no route is from DHCP"),
        line(
            "router-advertisements",
            &survey.router_advertisements,
            "no address and no route is from a router"
        ),
    )
}

fn ending(scope: ProposedScope) -> &'static str {
    match scope {
        ProposedScope::Host => {
            "
[limits]
default = \"30m\"
maximum = \"4h\"
total = \"8h\"                              # extensions included
confirm-within = \"5m\"                     # whoever locked themselves out need do nothing: it reverts

[fail]
crash = \"closed\"                          # a daemon that was killed is no reason to let an intruder out
reboot = \"open\"                           # a host that came up again must be reachable without a journey
lifeline-lost = \"open\"

[notice]
text = \"This host is isolated on the orders of its operators. Only administration by SSH goes on.\"
"
        }
        ProposedScope::Uplinks => {
            "
[limits]
default = \"1h\"
maximum = \"8h\"
total = \"24h\"                             # extensions included
confirm-within = \"10m\"                    # whoever locked themselves out need do nothing: it reverts

[fail]
crash = \"closed\"                          # a daemon that was killed is no reason to open the uplink
reboot = \"open\"                           # \"closed\" if a power cut must not reopen it
lifeline-lost = \"open\"

[notice]
text = \"The connection of this site to the outside is cut for the time being.\"
"
        }
    }
}

/// A prefix; one host is written as its address.
fn written(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() {
        net.addr().to_string()
    } else {
        net.to_string()
    }
}

/// A pattern that matches this name alone, as TOML. Backslashes stand in names that are no text.
fn pattern(name: &str) -> String {
    quoted(&globset::escape(name).replace('\\', "\\\\"))
}

/// A setting and, in a column of its own, what there is to say about it.
fn remark(setting: &str, why: &str) -> String {
    format!("{setting:<41} # {why}\n")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
