//! What came of it, as one table, and what must hold of it.

use std::fmt::Write;
use std::time::Duration;

use super::attackers::Attack;

/// Of a declaration and of a revert.
const BUDGET_P99: Duration = Duration::from_millis(250);
/// Of the same.
const BUDGET_MAX: Duration = Duration::from_secs(1);
/// Always held, whatever else the machine does.
const GENEROUS_MAX: Duration = Duration::from_secs(5);
const BUDGET_KIB: u64 = 32 * 1024;
/// A build without optimisation has more code and larger frames.
const GENEROUS_KIB: u64 = 64 * 1024;
/// Processor time in a second in which nobody asks anything.
pub const AT_REST: Duration = Duration::from_millis(100);

/// One kind of request.
#[derive(Debug)]
pub struct Asked {
    pub what: &'static str,
    pub took: Vec<Duration>,
    /// Tries that were closed or answered with `busy`.
    pub turned_away: u64,
}

/// One attack.
pub struct Row {
    pub attack: &'static Attack,
    /// What the attackers did, in their own unit.
    pub sent: u64,
    pub asked: [Asked; 4],
    pub spun_under_attack: Duration,
    pub spun_after: Duration,
    pub peak_kib: u64,
}

impl Asked {
    pub fn new(what: &'static str) -> Self {
        Self {
            what,
            took: Vec::new(),
            turned_away: 0,
        }
    }

    fn at(&self, percent: usize) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
    }
}

impl Row {
    fn changing(&self) -> impl Iterator<Item = &Asked> {
        self.asked
            .iter()
            .filter(|asked| matches!(asked.what, "declare" | "revert"))
    }

    /// What holds on any machine.
    pub fn hold(&self) {
        let name = self.attack.name;
        for asked in self.changing() {
            assert!(
                asked.at(100) <= GENEROUS_MAX,
                "{name}: {} took {:?}",
                asked.what,
                asked.at(100)
            );
        }
        let limit = if cfg!(debug_assertions) {
            GENEROUS_KIB
        } else {
            BUDGET_KIB
        };
        assert!(self.peak_kib <= limit, "{name}: {} KiB of memory", self.peak_kib);
        assert!(
            self.attack.busy || self.spun_under_attack <= AT_REST,
            "{name}: {:?} a second while nobody asks anything",
            self.spun_under_attack
        );
    }

    /// What holds on a machine with nothing else to do.
    pub fn hold_budgets(&self) {
        let name = self.attack.name;
        for asked in self.changing() {
            assert!(
                asked.at(99) <= BUDGET_P99,
                "{name}: {} p99 {:?}",
                asked.what,
                asked.at(99)
            );
            assert!(
                asked.at(100) <= BUDGET_MAX,
                "{name}: {} max {:?}",
                asked.what,
                asked.at(100)
            );
        }
        assert!(self.peak_kib <= BUDGET_KIB, "{name}: {} KiB of memory", self.peak_kib);
    }
}

/// The names of the columns.
pub fn head() -> String {
    format!(
        "{:<33}{:>9}  {:<16}{:<16}{:<16}{:<16}{:>8}{:>9}{:>11}{:>9}",
        "attack", "sent", "status ms", "plan ms", "declare ms", "revert ms", "again", "cpu", "cpu after", "peak MiB"
    )
}

/// What the columns mean.
pub const FOOT: &str = "times: p50/p99/max; the budget of declare and revert is p99 250 ms and max 1 s\n\
    again: how often the operator was turned away and asked again, status and plan + declare and revert\n\
    cpu: of one core, in a second in which the operator asks nothing, during the attack and after it\n\
    peak: VmHWM; the budget is 32 MiB";

/// One line of the table.
pub fn line(row: &Row) -> String {
    let mut text = format!("{:<33}{:>9}  ", row.attack.name, row.sent);
    for asked in &row.asked {
        let [p50, p99, max] = [50, 99, 100].map(|percent| asked.at(percent).as_millis());
        write!(text, "{:<16}", format!("{p50}/{p99}/{max}")).unwrap();
    }
    let changed: u64 = row.changing().map(|asked| asked.turned_away).sum();
    let again: u64 = row.asked.iter().map(|asked| asked.turned_away).sum();
    let again = format!("{}+{changed}", again - changed);
    let [cpu, after] = [row.spun_under_attack, row.spun_after].map(|time| format!("{} %", time.as_millis() / 10));
    let mib = row.peak_kib as f64 / 1024.0;
    write!(text, "{again:>8}{cpu:>9}{after:>11}{mib:>9.1}").unwrap();
    text
}
