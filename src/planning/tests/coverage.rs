//! What the matrix on the real kernel found out about coverage, as a table.

use super::hosts::{SSH, UPLINK, WHOLE, ZONES, cut, gateway, policy};
use crate::model::plan::{Fate, Traffic};
use crate::planning::coverage;

#[test]
fn coverage_says_what_the_kernel_was_seen_to_do() {
    let only = |directions: &str| WHOLE.replace("\"in\", \"out\", \"forward\"", directions);
    let v4 = UPLINK.replace("\"ipv4\", \"ipv6\"", "\"ipv4\"");
    let (gate, seal) = ("use = [\"gate\"]", "use = [\"seal\"]");
    let table = [
        (
            only("\"out\""),
            gate,
            "",
            Traffic::PacketSockets,
            Fate::Partly,
            "get what comes in",
        ),
        (
            WHOLE.to_owned(),
            gate,
            "",
            Traffic::NeighbourResolution,
            Fate::Stopped,
            "",
        ),
        (
            WHOLE.to_owned(),
            gate,
            SSH,
            Traffic::NeighbourResolution,
            Fate::Passes,
            "lifelines",
        ),
        (
            v4.clone(),
            gate,
            "",
            Traffic::NeighbourResolution,
            Fate::Passes,
            "is not cut",
        ),
        (WHOLE.to_owned(), gate, "", Traffic::LinkControl, Fate::Stopped, ""),
        (
            WHOLE.to_owned(),
            gate,
            SSH,
            Traffic::LinkControl,
            Fate::Passes,
            "spanning tree, LACP, 802.1X",
        ),
        (
            v4.clone(),
            gate,
            SSH,
            Traffic::LinkControl,
            Fate::Passes,
            "neither IPv4 nor IPv6",
        ),
        (
            only("\"in\""),
            gate,
            "",
            Traffic::LinkControl,
            Fate::Partly,
            "does not arrive",
        ),
        (
            WHOLE.to_owned(),
            seal,
            SSH,
            Traffic::LinkControl,
            Fate::Passes,
            "past rules",
        ),
        (WHOLE.to_owned(), gate, "", Traffic::Bridged, Fate::Stopped, ""),
        (
            WHOLE.to_owned(),
            gate,
            SSH,
            Traffic::Bridged,
            Fate::Partly,
            "between ports too",
        ),
        (
            v4.clone(),
            gate,
            "",
            Traffic::MulticastOut,
            Fate::Partly,
            "of IPv4 only",
        ),
        (
            v4,
            seal,
            "",
            Traffic::MulticastIn,
            Fate::Partly,
            "all but IPv4 broadcast to a subnet",
        ),
        (
            WHOLE.to_owned(),
            seal,
            "",
            Traffic::MulticastOut,
            Fate::Passes,
            "table `local`",
        ),
        (
            WHOLE.to_owned(),
            seal,
            "",
            Traffic::NeighbourResolution,
            Fate::Partly,
            "no neighbour solicitations",
        ),
        (
            UPLINK.to_owned(),
            seal,
            "",
            Traffic::LocalOutV4,
            Fate::Stopped,
            "gateways may be sent",
        ),
        (
            WHOLE.to_owned(),
            seal,
            SSH,
            Traffic::BoundToDeviceV6,
            Fate::Stopped,
            "gateways may be sent",
        ),
        (
            only("\"out\""),
            seal,
            "",
            Traffic::LocalInV4,
            Fate::Partly,
            "except to gateways",
        ),
        (
            ZONES.to_owned(),
            seal,
            "",
            Traffic::NewLinks,
            Fate::Passes,
            "a link that appears later is in no zone",
        ),
    ];
    let host = gateway();
    for (scope, method, lifelines, traffic, fate, words) in table {
        let policy = policy("test", &scope, method, lifelines);
        let rows = coverage(&cut(&policy, &host), &host).rows;
        let row = rows.iter().find(|row| row.traffic == traffic).unwrap();
        assert!(
            row.fate == fate && row.note.contains(words),
            "{scope} {method} {lifelines}: {row:?}"
        );
    }
}
