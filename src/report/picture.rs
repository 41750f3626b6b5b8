//! The timeline, to scale: where everything stands in a drawing of a fixed width, in whole units of it.
//!
//! Nothing in it is told by colour alone: stretches have rows of their own and moments numbers, which the table below the
//! drawing has, too.

use super::prose::{self, offset};
use super::{Report, Span, Standing};
use crate::model::duration::written_ms;

const WIDTH: u64 = 1000;
/// Where time begins and ends; names of rows stand to the left.
const FROM: u64 = 175;
const TO: u64 = 985;
const ROW: u64 = 28;
const LANE: u64 = 24;
/// More lanes of labels than these make no picture; what finds no room stands in the table only.
const LANES_MAX: usize = 12;
const RADIUS: u64 = 11;
/// Width of a letter of a label.
const LETTER: u64 = 8;
/// A stretch of no length is still seen.
const BAR_MIN: u64 = 3;
/// A deadline that lies further out than this many times what happened would leave no room for that.
const FAR: u64 = 2;
const TICKS_MAX: u64 = 8;
/// Milliseconds between two ticks.
const STEPS_MS: [u64; 24] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    30_000,
    60_000,
    300_000,
    600_000,
    1_800_000,
    3_600_000,
    7_200_000,
    14_400_000,
    43_200_000,
    86_400_000,
    864_000_000,
];

/// The drawing.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) axis: u64,
    pub(super) top: u64,
    pub(super) rows: Vec<Row>,
    pub(super) marks: Vec<Mark>,
    pub(super) ticks: Vec<Tick>,
    pub(super) left_out: usize,
    /// The same in words.
    pub(super) description: String,
}

/// One kind of stretch.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) y: u64,
    pub(super) middle: u64,
    pub(super) bars: Vec<Bar>,
}

/// A stretch.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) class: &'static str,
    pub(super) label: String,
    pub(super) label_x: u64,
    pub(super) anchor: &'static str,
}

/// A moment.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) number: usize,
    pub(super) x: u64,
    pub(super) y: u64,
    pub(super) label: String,
    pub(super) label_x: u64,
    pub(super) anchor: &'static str,
}

/// A point of the scale.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) x: u64,
    pub(super) label: String,
}

struct Scale {
    end_ms: u64,
}

impl Scale {
    fn x(&self, ms: u64) -> u64 {
        let share = u128::from(ms.min(self.end_ms)) * u128::from(TO - FROM) / u128::from(self.end_ms);
        FROM + u64::try_from(share).unwrap_or(TO - FROM)
    }
}

impl Timeline {
    pub(super) fn of(report: &Report) -> Self {
        let last_ms = report.timeline.last().map_or(0, |moment| moment.offset_ms).max(1);
        let deadline = report.times.deadline_ms;
        let near = deadline.filter(|at| *at <= last_ms.saturating_mul(FAR));
        let scale = Scale {
            end_ms: last_ms.max(near.unwrap_or(0)),
        };
        let (mut marks, lanes, left_out) = marks(report, &scale);
        let top = 12 + lanes * LANE;
        // The first lane is the one next to the bars.
        marks
            .iter_mut()
            .for_each(|mark| mark.y = top - LANE / 2 - mark.y * LANE);
        let mut rows = rows(&report.spans, &scale, last_ms, top);
        if let Some(at) = deadline {
            rows.push(deadline_row(at, near.is_some(), &scale, top + ROW * count(rows.len())));
        }
        let axis = top + ROW * count(rows.len()) + 6;
        Self {
            width: WIDTH,
            height: axis + 34,
            from: FROM,
            to: TO,
            axis,
            top,
            rows,
            marks,
            ticks: ticks(&scale),
            left_out,
            description: description(report),
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn short(event: &str) -> String {
    event.replace('-', " ")
}

/// The moments, each in the lowest lane that has room for it; `y` is that lane.
fn marks(report: &Report, scale: &Scale) -> (Vec<Mark>, u64, usize) {
    let mut lanes: Vec<Vec<(u64, u64)>> = Vec::new();
    let mut marks = Vec::new();
    for (place, moment) in report.timeline.iter().enumerate() {
        let x = scale.x(moment.offset_ms);
        let mut label = short(&moment.event);
        if moment.count > 1 {
            label += &format!(" ×{}", moment.count);
        }
        let length = count(label.chars().count()) * LETTER + RADIUS + 8;
        let to_the_left = x + length > WIDTH;
        let taken = if to_the_left {
            (x.saturating_sub(length), x + RADIUS + 2)
        } else {
            (x - RADIUS - 2, x + length)
        };
        let free = |lane: &Vec<(u64, u64)>| lane.iter().all(|other| taken.1 <= other.0 || other.1 <= taken.0);
        let lane = lanes.iter().position(free).unwrap_or(lanes.len());
        if lane >= LANES_MAX {
            continue;
        }
        if lane == lanes.len() {
            lanes.push(Vec::new());
        }
        lanes[lane].push(taken);
        let (label_x, anchor) = if to_the_left {
            (x - RADIUS - 4, "end")
        } else {
            (x + RADIUS + 4, "start")
        };
        marks.push(Mark {
            number: place + 1,
            x,
            y: count(lane),
            label,
            label_x,
            anchor,
        });
    }
    let left_out = report.timeline.len() - marks.len();
    (marks, count(lanes.len()), left_out)
}

/// The name of a row and how its bars are filled; none for what has no length.
fn kind(standing: Standing) -> Option<(&'static str, &'static str)> {
    match standing {
        Standing::Proposed => Some(("Waiting for approval", "waiting")),
        Standing::Applying => Some(("Being laid", "laying")),
        Standing::InForce => Some(("Cut in force", "held")),
        Standing::Degraded => Some(("Cut with a hole", "degraded")),
        Standing::Restoring => Some(("Being put back", "restoring")),
        Standing::Stuck => Some(("Not all is back", "degraded")),
        Standing::Rejected | Standing::Lapsed | Standing::Ended => None,
    }
}

fn rows(spans: &[Span], scale: &Scale, last_ms: u64, top: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for span in spans {
        let Some((name, class)) = kind(span.standing) else {
            continue;
        };
        let to_ms = span.to_ms.unwrap_or(last_ms);
        let (x, end) = (scale.x(span.from_ms), scale.x(to_ms));
        let length = to_ms - span.from_ms;
        let label = if span.to_ms.is_some() {
            written_ms(length)
        } else {
            format!("{}, still", written_ms(length))
        };
        let bar = labelled(x, (end - x).max(BAR_MIN), class, label);
        match rows.iter_mut().find(|row| row.name == name) {
            Some(row) => row.bars.push(bar),
            None => {
                let y = top + ROW * count(rows.len()) + 4;
                let bars = vec![bar];
                rows.push(Row {
                    name,
                    y,
                    middle: y + 14,
                    bars,
                });
            }
        }
    }
    rows
}

/// A bar with its label where there is room: behind it, else before it.
fn labelled(x: u64, width: u64, class: &'static str, label: String) -> Bar {
    let length = count(label.chars().count()) * LETTER + 10;
    let behind = x + width + length <= WIDTH;
    let before = x >= FROM + length;
    let (label_x, anchor, label) = match (behind, before) {
        (true, _) => (x + width + 6, "start", label),
        (false, true) => (x - 6, "end", label),
        // A bar as wide as the picture: what it spans, the scale says.
        (false, false) => (x, "start", String::new()),
    };
    Bar {
        x,
        width,
        class,
        label,
        label_x,
        anchor,
    }
}

fn deadline_row(at: u64, near: bool, scale: &Scale, top: u64) -> Row {
    let (x, y) = (scale.x(at), top + 4);
    let bar = if near {
        labelled(x.saturating_sub(2), 4, "deadline", offset(at))
    } else {
        Bar {
            x: TO - 4,
            width: 4,
            class: "deadline",
            label: format!("{} after the beginning, beyond this picture ▶", written_ms(at)),
            label_x: TO - 10,
            anchor: "end",
        }
    };
    Row {
        name: "Deadline",
        y,
        middle: y + 14,
        bars: vec![bar],
    }
}

fn ticks(scale: &Scale) -> Vec<Tick> {
    let fits = |step: &&u64| scale.end_ms / **step < TICKS_MAX;
    let step = STEPS_MS.iter().find(fits).copied().unwrap_or(scale.end_ms);
    let all = (0..=scale.end_ms / step).map(|n| n * step);
    all.map(|ms| Tick {
        x: scale.x(ms),
        label: if ms == 0 { "0".to_owned() } else { written_ms(ms) },
    })
    .collect()
}

fn description(report: &Report) -> String {
    let moments = report.timeline.iter().enumerate().map(|(place, moment)| {
        format!(
            "{}. {} at {}",
            place + 1,
            short(&moment.event),
            offset(moment.offset_ms)
        )
    });
    let mut all = moments.collect::<Vec<_>>().join("; ");
    if let Some(deadline) = &report.times.deadline {
        all += &format!("; deadline {}", prose::day_and_time(deadline));
    }
    all
}
