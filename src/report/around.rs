//! The picture of before, during and after: what goes between this host and the others, one line a kind of traffic.
//!
//! Before and after are what the receipt compares; during is what the plan promised, and in a drill what the probes met.

use super::drill::Tally;
use super::prose;
use super::{Report, Standing};
use crate::model::plan::{CoverageRow, Fate, Traffic};

const PANEL: u64 = 320;
const GAP: u64 = 20;
const HEAD: u64 = 66;
const ROW: u64 = 36;
/// More lifelines than these are counted.
const LIFELINES_MAX: usize = 6;
const LABEL_MAX: usize = 26;
/// Digits of a digest that are shown in a picture.
const DIGEST: usize = 16;

/// The drawing.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) boxes: u64,
    pub(super) panels: Vec<Panel>,
    pub(super) description: String,
}

/// One of the three.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) x: u64,
    pub(super) title: &'static str,
    pub(super) caption: String,
    pub(super) wall: bool,
    pub(super) lines: Vec<Line>,
    pub(super) foot: Vec<Foot>,
}

/// A line below a panel.
#[derive(Debug)]
pub(super) struct Foot {
    pub(super) y: u64,
    pub(super) text: String,
}

/// A kind of traffic.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) y: u64,
    pub(super) label_y: u64,
    pub(super) label: String,
    pub(super) class: &'static str,
    pub(super) sign: &'static str,
}

/// What becomes of a kind of traffic in a panel.
#[derive(Clone, Copy)]
enum Way {
    Open,
    Fated(Fate),
    Kept,
}

impl Way {
    fn class(self) -> &'static str {
        match self {
            Self::Open | Self::Fated(Fate::Passes) => "open",
            Self::Fated(Fate::Stopped) => "stopped",
            Self::Fated(Fate::Partly) => "partly",
            Self::Kept => "kept",
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Open | Self::Fated(Fate::Passes) => "",
            Self::Fated(Fate::Stopped) => "✕ stopped",
            Self::Fated(Fate::Partly) => "◐ partly",
            Self::Kept => "✓ kept",
        }
    }
}

impl Around {
    pub(super) fn of(report: &Report) -> Self {
        let during = during(report);
        let height = HEAD + ROW * count(during.len()) + 12;
        let cut = report.times.in_force.is_some();
        let open: Vec<(String, Way)> = during.iter().map(|(label, _)| (label.clone(), Way::Open)).collect();
        let tally = report.drill.as_ref().map(|drill| drill.tally);
        let during_caption = match (cut, report.times.in_force.as_deref()) {
            (true, Some(time)) => format!("from {}", prose::day_and_time(time)),
            (_, _) => "nothing was cut".to_owned(),
        };
        let (after_caption, after) = after(report, &open);
        // A proposal changes nothing.
        let until = report.times.in_force.as_deref().or(report.times.declared.as_deref());
        let before_caption = until.map_or_else(String::new, |time| format!("until {}", prose::day_and_time(time)));
        let during = if cut { during } else { open.clone() };
        let digest =
            |digest: Option<&String>| digest.map(|d| format!("state {}…", d.chars().take(DIGEST).collect::<String>()));
        let receipt = report.receipt.as_ref();
        let panels = [
            (
                "Before",
                before_caption,
                false,
                open,
                foot_before(tally, digest(receipt.and_then(|r| r.baseline.as_ref()))),
            ),
            ("During", during_caption, cut, during, foot_during(tally, cut)),
            (
                "After",
                after_caption,
                false,
                after,
                foot_after(tally, digest(receipt.and_then(|r| r.restored.as_ref()))),
            ),
        ];
        let panels: Vec<Panel> = panels
            .into_iter()
            .enumerate()
            .map(|(place, (title, caption, wall, rows, foot))| Panel {
                x: (PANEL + GAP) * count(place),
                title,
                caption,
                wall,
                lines: lines(rows),
                foot: footed(foot, height),
            })
            .collect();
        let description = description(&panels);
        Self {
            width: PANEL * 3 + GAP * 2,
            height: height + 66,
            boxes: height - HEAD + 14,
            panels,
            description,
        }
    }
}

/// What goes afterwards, as far as it is proved: of a restore that left something only the receipt knows.
fn after(report: &Report, open: &[(String, Way)]) -> (String, Vec<(String, Way)>) {
    match report.standing {
        Standing::Ended => (ended(report), open.to_vec()),
        Standing::Stuck => ("not everything is back, see Receipt".to_owned(), Vec::new()),
        Standing::Rejected | Standing::Lapsed => ("as before".to_owned(), open.to_vec()),
        Standing::Proposed | Standing::Applying => ("not yet".to_owned(), Vec::new()),
        Standing::InForce | Standing::Degraded | Standing::Restoring => {
            ("not yet: the cut is not over".to_owned(), Vec::new())
        }
    }
}

fn lines(rows: Vec<(String, Way)>) -> Vec<Line> {
    let rows = rows.into_iter().enumerate();
    rows.map(|(row, (label, way))| line(row, label, way)).collect()
}

fn footed(texts: Vec<String>, height: u64) -> Vec<Foot> {
    let below = |row: usize| height + 20 + 20 * count(row);
    let texts = texts.into_iter().enumerate();
    texts.map(|(row, text)| Foot { y: below(row), text }).collect()
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn line(row: usize, label: String, way: Way) -> Line {
    let y = HEAD + ROW * count(row) + 18;
    Line {
        y,
        label_y: y - 6,
        label,
        class: way.class(),
        sign: way.sign(),
    }
}

/// What the plan promised: routed traffic by direction, then the lifelines.
fn during(report: &Report) -> Vec<(String, Way)> {
    let coverage = &report.scope.coverage;
    let pairs = [
        ("From this host", Traffic::LocalOutV4, Traffic::LocalOutV6),
        ("To this host", Traffic::LocalInV4, Traffic::LocalInV6),
        ("Through this host", Traffic::ForwardedV4, Traffic::ForwardedV6),
    ];
    let fate = |traffic: Traffic| {
        let row = coverage.iter().find(|row: &&CoverageRow| row.traffic == traffic);
        row.map(|row| Way::Fated(row.fate))
    };
    let mut rows = Vec::new();
    for (label, four, six) in pairs {
        match (fate(four), fate(six)) {
            (Some(four), Some(six)) if four.class() == six.class() => rows.push((label.to_owned(), four)),
            (four, six) => {
                rows.extend(four.map(|way| (format!("{label}, IPv4"), way)));
                rows.extend(six.map(|way| (format!("{label}, IPv6"), way)));
            }
        }
    }
    if rows.is_empty() {
        rows.push(("What the policy names".to_owned(), Way::Fated(Fate::Stopped)));
    }
    let names = &report.scope.lifelines;
    rows.extend(
        names
            .iter()
            .take(LIFELINES_MAX)
            .map(|name| (shortened(name), Way::Kept)),
    );
    if names.len() > LIFELINES_MAX {
        rows.push((format!("and {} more lifelines", names.len() - LIFELINES_MAX), Way::Kept));
    }
    rows
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LABEL_MAX {
        return name.to_owned();
    }
    name.chars().take(LABEL_MAX - 1).chain(['…']).collect()
}

fn ended(report: &Report) -> String {
    let time = report
        .times
        .ended
        .as_deref()
        .map(prose::day_and_time)
        .unwrap_or_default();
    format!("since {time}")
}

fn foot_before(tally: Option<Tally>, digest: Option<String>) -> Vec<String> {
    let probes = tally.map(|t| {
        let all = t.forbidden + t.kept + t.open;
        format!("{all} of {} probes passed", all + t.unproved)
    });
    probes.into_iter().chain(digest).collect()
}

fn foot_during(tally: Option<Tally>, cut: bool) -> Vec<String> {
    match tally {
        Some(t) => vec![
            format!("{} of {} forbidden probes passed", t.leaked, t.forbidden),
            format!("{} of {} kept probes passed", t.kept_passed, t.kept),
        ],
        None if cut => vec!["by the plan; no traffic was looked at".to_owned()],
        None => Vec::new(),
    }
}

fn foot_after(tally: Option<Tally>, digest: Option<String>) -> Vec<String> {
    let probes = tally.map(|t| {
        format!(
            "{} of {} probes passed again",
            t.forbidden_back + t.kept_back,
            t.forbidden + t.kept
        )
    });
    probes.into_iter().chain(digest).collect()
}

fn description(panels: &[Panel]) -> String {
    let said = panels.iter().map(|panel| {
        let lines = panel.lines.iter().map(|line| {
            let fate = if line.sign.is_empty() { "open" } else { line.sign };
            format!("{}: {fate}", line.label)
        });
        let feet = panel.foot.iter().map(|foot| foot.text.clone());
        let all: Vec<String> = lines.chain(feet).collect();
        format!("{} ({}): {}", panel.title, panel.caption, all.join("; "))
    });
    said.collect::<Vec<_>>().join(". ")
}
