//! The kernel's network state as `ip` and `tc` show it, for byte comparison: independent of all code of ours.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use portcullis::drill::namespace::Namespace;

use super::{run, try_run};

/// A link that has none by then has no peer that is up.
const CARRIER_PATIENCE: Duration = Duration::from_millis(1_500);

/// All that a restore has to bring back, as text, with counters, timers and remaining lifetimes left out.
pub fn state(namespace: &Namespace) -> String {
    wait_for_carrier(namespace);
    let mut text = String::new();
    for (program, args) in COMMANDS {
        let args: Vec<&str> = args.split(' ').collect();
        text += &section(&args, program, &run(namespace, program, &args));
    }
    for args in filters(&run(namespace, "tc", &["qdisc", "show"])) {
        let args: Vec<&str> = args.split(' ').collect();
        // Somebody who waits for a change looks while it happens, and finds neither qdisc nor block any more.
        let shown = try_run(namespace, "tc", &args, "").unwrap_or_else(|why| why + "\n");
        text += &section(&args, "tc", &shown);
    }
    text
}

/// The kernel tells a link's carrier in its own time (`net/core/link_watch.c`: up to a second after it came up).
fn wait_for_carrier(namespace: &Namespace) {
    let begun = Instant::now();
    while begun.elapsed() < CARRIER_PATIENCE
        && run(namespace, "ip", &["-o", "link", "show", "up"]).contains("NO-CARRIER")
    {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fails with the lines that differ, and only with those.
#[track_caller]
pub fn assert_same(before: &str, after: &str) {
    let diff = similar::TextDiff::from_lines(before, after);
    assert!(
        before == after,
        "the state is not what it was:\n{}",
        diff.unified_diff().context_radius(0)
    );
}

/// The same state whatever the order within each section: after a link went down and up, IPv6 routes of equal prefixes
/// on several links (`fe80::/64`, `ff00::/8`) stand in another order, which nobody can give back.
pub fn without_order(state: &str) -> String {
    let mut sections: Vec<Vec<&str>> = Vec::new();
    for line in state.lines() {
        match sections.last_mut() {
            Some(section) if !line.starts_with("# ") => section.push(line),
            Some(_) | None => sections.push(vec![line]),
        }
    }
    for section in &mut sections {
        section[1..].sort_unstable();
    }
    sections.concat().join("\n") + "\n"
}

const COMMANDS: [(&str, &str); 12] = [
    ("ip", "-d link show"),
    ("ip", "addr show"),
    ("ip", "-4 -d route show table all"),
    ("ip", "-6 -d route show table all"),
    ("ip", "-4 -d rule show"),
    ("ip", "-6 -d rule show"),
    ("ip", "-d nexthop show"),
    ("ip", "-4 neigh show nud permanent"),
    ("ip", "-6 neigh show nud permanent"),
    ("ip", "-4 neigh show proxy"),
    ("ip", "-6 neigh show proxy"),
    ("tc", "-d qdisc show"),
];

fn section(args: &[&str], program: &str, shown: &str) -> String {
    let shown = without_clocks(shown);
    let mut lines: Vec<&str> = shown.lines().collect();
    if args.contains(&"neigh") {
        // Neighbours stand in a hash table, which the kernel builds anew when it grows.
        lines.sort_unstable();
    }
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("# {program} {}\n{lines}", args.join(" "))
}

/// The commands that show all filters of what `tc qdisc show` names: of each shared block once, and of both sides of
/// every `clsact` without blocks.
fn filters(qdiscs: &str) -> BTreeSet<String> {
    let mut commands = BTreeSet::new();
    for line in qdiscs
        .lines()
        .filter(|line| line.starts_with("qdisc clsact") || line.starts_with("qdisc ingress"))
    {
        let device = after(line, "dev").unwrap_or_default();
        for (side, block) in [("ingress", "ingress_block"), ("egress", "egress_block")] {
            commands.insert(match after(line, block) {
                Some(number) => format!("-d filter show block {number}"),
                None => format!("-d filter show dev {device} {side}"),
            });
        }
    }
    commands
}

fn after<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.split_whitespace().skip_while(|seen| *seen != word).nth(1)
}

/// What changes by itself: lifetimes that run, bridge timers and what the spanning tree makes of them.
fn without_clocks(text: &str) -> String {
    text.lines().map(|line| without_clock(line) + "\n").collect()
}

fn without_clock(line: &str) -> String {
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let (mut words, mut before) = (Vec::new(), "");
    for word in line.split_whitespace() {
        let runs = matches!(before, "valid_lft" | "preferred_lft" | "expires") && word != "forever" && word != "0sec";
        let ticks = before.ends_with("_timer") || before.starts_with("topology_change");
        words.push(if runs || ticks { "*" } else { word });
        before = word;
    }
    indent + &words.join(" ")
}

#[test]
fn only_what_runs_by_itself_is_left_out_of_a_state() {
    let table = [
        (
            "  valid_lft forever preferred_lft 0sec",
            "  valid_lft forever preferred_lft 0sec",
        ),
        (
            "  valid_lft 86399sec preferred_lft 14399sec",
            "  valid_lft * preferred_lft *",
        ),
        (
            "fd00::/64 proto ra metric 1024 expires 1790sec pref medium",
            "fd00::/64 proto ra metric 1024 expires * pref medium",
        ),
        (
            "    hello_timer    0.00 gc_timer  246.87 vlan_protocol 802.1Q",
            "    hello_timer * gc_timer * vlan_protocol 802.1Q",
        ),
        ("topology_change 1 mtu 1500", "topology_change * mtu 1500"),
    ];
    for (line, kept) in table {
        assert_eq!(without_clock(line), kept);
    }
}

#[test]
fn order_is_left_out_within_a_section_only() {
    assert_eq!(without_order("# a\n2\n1\n# b\n0\n"), "# a\n1\n2\n# b\n0\n");
    assert_ne!(without_order("# a\n1\n# b\n2\n"), without_order("# a\n2\n# b\n1\n"));
}

#[test]
fn filters_of_every_block_and_clsact_are_shown() {
    let qdiscs = "qdisc noqueue 0: dev lo root refcnt 2 \n\
        qdisc clsact ffff: dev u0 parent ffff:fff1 ingress_block 21 egress_block 22 \n\
        qdisc clsact ffff: dev u1 parent ffff:fff1 ingress_block 21 egress_block 22 \n\
        qdisc clsact ffff: dev m0 parent ffff:fff1 \n";
    let shown: Vec<String> = filters(qdiscs).into_iter().collect();
    assert_eq!(
        shown,
        [
            "-d filter show block 21",
            "-d filter show block 22",
            "-d filter show dev m0 egress",
            "-d filter show dev m0 ingress"
        ]
    );
}

#[test]
fn neighbours_have_no_order_and_rules_do() {
    let of = |what: &str, text: &str| section(&[what, "show"], "ip", text);
    assert_eq!(of("neigh", "b\na\n"), of("neigh", "a\nb\n"));
    assert_ne!(of("rule", "b\na\n"), of("rule", "a\nb\n"));
}
