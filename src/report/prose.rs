//! The whole in a few sentences, and the words that text and page share.

use jiff::Timestamp;

use super::life::micros;
use super::{Audience, Receipt, Report, Standing, Who};
use crate::model::duration::written_ms;
use crate::model::ledger::{Report as Examined, Verdict};
use crate::model::plan::{Fate, Traffic};

/// Says it so that who reads nothing else knows what happened.
pub(super) fn summary(report: &Report) -> Vec<String> {
    let mut said = vec![declared(report), approved(report)];
    if report.drill.is_some() {
        said.insert(
            0,
            "This was a drill on a copy of the host's network: nothing outside it was changed.".to_owned(),
        );
    }
    said.push(held(report));
    said.push(ended(report));
    if report.drifts > 0 {
        let fate = match (report.drift.iter().all(|drift| drift.put_right), report.drifts) {
            (true, 1) => "it was put right at once",
            (true, _) => "each time it was put right at once",
            (false, _) => "not all of it was put right at once, see Drift",
        };
        said.push(format!(
            "Others changed what the cut held {}; {fate}.",
            times(report.drifts)
        ));
    }
    said.extend(report.receipt.as_ref().map(back));
    said.push(format!("The audit log: {}.", report.proof.verdict.sentence));
    said.retain(|sentence| !sentence.is_empty());
    said
}

fn declared(report: &Report) -> String {
    let stated = &report.declaration;
    let who = stated.declared_by.as_ref().map_or("somebody", |who| who.name.as_str());
    let when = report
        .times
        .declared
        .as_deref()
        .map_or_else(String::new, |time| format!("On {}, ", day_and_time(time)));
    let policy = report.policy.as_deref().unwrap_or("unknown");
    let proposed = matches!(
        report.standing,
        Standing::Proposed | Standing::Rejected | Standing::Lapsed
    );
    let what = if proposed { "proposed" } else { "declared" };
    format!(
        "{when}{who} {what} an emergency under the policy “{policy}” on the authority of “{}”, because: “{}”.",
        stated.authority, stated.reason
    )
}

fn approved(report: &Report) -> String {
    let stated = &report.declaration;
    if stated.approved_by.is_empty() {
        return match report.standing {
            Standing::Proposed => "It waits for approval; nothing is cut.".to_owned(),
            Standing::Rejected => "It was rejected, and nothing was cut.".to_owned(),
            Standing::Lapsed => "Nobody decided on it in time, and nothing was cut.".to_owned(),
            Standing::Applying
            | Standing::InForce
            | Standing::Degraded
            | Standing::Restoring
            | Standing::Ended
            | Standing::Stuck => "The policy demands no second person.".to_owned(),
        };
    }
    let names: Vec<&str> = stated.approved_by.iter().map(|who| who.name.as_str()).collect();
    format!(
        "Before anything was cut, the plan was approved by {}.",
        names.join(" and ")
    )
}

fn held(report: &Report) -> String {
    let times = &report.times;
    if times.in_force.is_none() {
        return String::new();
    }
    let cut = times
        .cut_us
        .map_or_else(String::new, |us| format!("stood {} after the request and ", micros(us)));
    let until = if report.standing.is_held() {
        "has been held for"
    } else {
        "was held for"
    };
    let kept = match report.scope.lifelines.as_slice() {
        [] => "No lifeline was named".to_owned(),
        names => format!("Kept open: {}", names.join(", ")),
    };
    format!("The cut {cut}{until} {}. {kept}.", written_ms(times.held_ms))
}

fn ended(report: &Report) -> String {
    let deadline = report.times.deadline.as_deref().map(day_and_time).unwrap_or_default();
    if report.standing.is_held() {
        return format!("It is in force, and ends by itself on {deadline} at the latest.");
    }
    let endings = [
        "revert-requested",
        "deadline-reached",
        "confirmation-missed",
        "lifeline-lost",
        "apply-failed",
        "recovered",
    ];
    let last = report
        .timeline
        .iter()
        .rev()
        .find(|moment| endings.contains(&moment.event.as_str()));
    let when = |time: &str| format!("on {}", day_and_time(time));
    match last {
        Some(moment) if moment.event == "revert-requested" => {
            let (who, when) = (&moment.who.name, when(&moment.time));
            format!("It was ended by {who} {when}; it would have ended by itself on {deadline}.")
        }
        Some(moment) if moment.event == "deadline-reached" => format!("Its deadline ended it {}.", when(&moment.time)),
        Some(moment) if moment.event == "confirmation-missed" => {
            format!(
                "Nobody confirmed it in time, so it ended by itself {}.",
                when(&moment.time)
            )
        }
        Some(moment) if moment.event == "lifeline-lost" => {
            format!(
                "A lifeline did not answer, so, as the policy says, it ended {}.",
                when(&moment.time)
            )
        }
        Some(moment) if moment.event == "apply-failed" => "The cut could not be laid and was undone.".to_owned(),
        Some(moment) if moment.event == "recovered" => {
            format!(
                "The daemon found it after a restart and, as the policy says, ended it {}.",
                when(&moment.time)
            )
        }
        Some(_) | None => String::new(),
    }
}

/// What a receipt says, in a sentence.
pub(super) fn back(receipt: &Receipt) -> String {
    let others = match receipt.kept_foreign_changes.count {
        0 => String::new(),
        n => format!(
            " {} that others made meanwhile {} kept.",
            counted(n, "change"),
            if n == 1 { "was" } else { "were" }
        ),
    };
    if receipt.residues.count > 0 {
        let things = counted(receipt.residues.count, "thing");
        return format!("Not everything is back: {things} could not be put back, and a person is needed.{others}");
    }
    let same = receipt.restored.is_some() && receipt.restored == receipt.baseline;
    let proof = if same {
        "the state read back from the kernel equals the state that was to be restored, object for object"
    } else {
        "nothing that was cut is missing and nothing of the cut is left"
    };
    format!("Everything is back: {proof}.{others}")
}

/// What an examination of the log came to, for people who never saw one.
pub(super) fn verdict(examined: &Examined) -> String {
    let size = examined.tree.size();
    let proved = examined.proved;
    match &examined.verdict {
        Verdict::Intact => format!("all its {size} records are proved to be as they were written"),
        Verdict::TailUnproved if proved == 0 => {
            format!("its {size} records fit together, but nothing proves them: no seal, no noted head")
        }
        Verdict::TailUnproved => format!(
            "records 1 to {proved} are proved to be as they were written; {} follow that no seal proves yet",
            size - proved
        ),
        Verdict::KeyUnknown => format!(
            "its {size} records fit together, but no key or head that was noted elsewhere was given to compare with"
        ),
        Verdict::Altered(damage) => format!("ALTERED, and what stands behind that is not told here: {damage}"),
        Verdict::RolledBack(damage) => format!("ROLLED BACK to an older state: {damage}"),
        Verdict::Truncated(noted) => {
            format!(
                "TRUNCATED: it ends before record {}, which was noted elsewhere",
                noted.size
            )
        }
    }
}

/// The same in a word or two.
pub(super) fn verdict_word(word: &str) -> &str {
    match word {
        "tail-unproved" => "intact, end not sealed",
        "key-unknown" => "consistent; not compared",
        "altered" => "ALTERED",
        "truncated" => "TRUNCATED",
        "rolled-back" => "ROLLED BACK",
        other => other,
    }
}

/// A number of things.
pub(super) fn counted(count: usize, thing: &str) -> String {
    if count == 1 {
        format!("1 {thing}")
    } else {
        format!("{count} {thing}s")
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        many => format!("{many} times"),
    }
}

/// RFC 3339 as a person writes it; what is no date stays as it is.
pub(super) fn day_and_time(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%-d %B %Y at %H:%M:%S UTC").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// Milliseconds after the beginning.
pub(super) fn offset(ms: u64) -> String {
    let (seconds, rest) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("+{hours}:{minutes:02}:{seconds:02}.{rest:03}")
}

/// A title for all forms.
pub(super) fn title(report: &Report) -> String {
    let what = if report.drill.is_some() { "Drill" } else { "Emergency" };
    let policy = report.policy.as_deref().unwrap_or("unknown policy");
    match &report.host {
        Some(host) => format!("{what}: {policy} on {host}"),
        None => format!("{what}: {policy}"),
    }
}

/// For whom it is, in words.
pub(super) fn audience(report: &Report) -> &'static str {
    match report.audience {
        Audience::Insiders => "Full report: it holds addresses and names of persons",
        Audience::Public => "Public report: addresses and names of links and persons are left out",
    }
}

/// Where it stands, in words.
pub(super) fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Proposed => "Waiting for approval",
        Standing::Rejected => "Rejected, nothing was cut",
        Standing::Lapsed => "Not decided in time, nothing was cut",
        Standing::Applying => "Being laid",
        Standing::InForce => "In force",
        Standing::Degraded => "In force with a hole",
        Standing::Restoring => "Being put back",
        Standing::Ended => "Ended, everything is back",
        Standing::Stuck => "Ended, but not everything is back",
    }
}

/// A word of a policy or record in plain words.
pub(super) fn word(word: &str) -> String {
    let known = match word {
        "public-security-emergency" => "public security emergency",
        "security-incident" => "security incident",
        "own-hosts" => "machines of the owner only",
        "own-staff" => "people who work for the owner",
        "public" => "the public",
        "whole-host" => "the whole host, links that appear later included",
        "links" => "the links listed",
        "gate" => "gate (traffic control on the links)",
        "seal" => "seal (routing rules)",
        "routes" => "routes (withdrawn or sent nowhere)",
        "link" => "link (set down)",
        other => other,
    };
    known.to_owned()
}

/// A kind of traffic in plain words.
pub(super) fn traffic(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::LocalOutV4 => "From this host, IPv4",
        Traffic::LocalOutV6 => "From this host, IPv6",
        Traffic::LocalInV4 => "To this host, IPv4",
        Traffic::LocalInV6 => "To this host, IPv6",
        Traffic::ForwardedV4 => "Through this host, IPv4",
        Traffic::ForwardedV6 => "Through this host, IPv6",
        Traffic::BoundToDeviceV4 => "Sockets bound to a link, IPv4",
        Traffic::BoundToDeviceV6 => "Sockets bound to a link, IPv6",
        Traffic::MulticastOut => "Multicast and broadcast, out",
        Traffic::MulticastIn => "Multicast and broadcast, in",
        Traffic::PacketSockets => "Raw frames (AF_PACKET)",
        Traffic::NeighbourResolution => "ARP and neighbour discovery",
        Traffic::Bridged => "Bridged through this host",
        Traffic::LinkControl => "What keeps a link (spanning tree, LACP, 802.1X)",
        Traffic::QdiscBypass => "Raw frames past traffic control",
        Traffic::NewLinks => "Links that appear later",
    }
}

/// A fate in plain words, with a sign that needs no colour.
pub(super) fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Stopped => "✕ stopped",
        Fate::Partly => "◐ partly",
        Fate::Passes => "→ goes on",
    }
}

/// Somebody with all that is known of them.
pub(super) fn who(who: &Who) -> String {
    let mut known = Vec::new();
    known.extend(who.uid.map(|uid| format!("uid {uid}")));
    known.extend(
        who.login_uid
            .filter(|login| Some(*login) != who.uid)
            .map(|uid| format!("logged in as uid {uid}")),
    );
    known.extend(who.executable.clone());
    known.extend(who.unit.clone());
    if !who.hearsay.is_empty() {
        known.push(format!("not vouched for: {}", who.hearsay.join(", ")));
    }
    if known.is_empty() {
        return who.name.clone();
    }
    format!("{} ({})", who.name, known.join("; "))
}
