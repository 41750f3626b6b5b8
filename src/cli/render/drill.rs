//! A drill's report for people.

use std::fmt::Write as _;

use super::safe;
use crate::drill::report::{Expectation, ProbeResult, Report};
use crate::model::duration::written_ms;

/// The report, verdict last, where the eye is when the command ends.
pub(crate) fn report(report: &Report) -> String {
    let mut out = String::new();
    let copied = &report.copied;
    line(
        &mut out,
        &format!("Drill of `{}` on a copy of this host's network", report.plan.policy),
    );
    line(
        &mut out,
        &format!(
            "  copied      {} links, {} addresses, {} routes, {} rules",
            copied.links, copied.addresses, copied.routes, copied.rules
        ),
    );
    for left in &copied.left_out {
        line(&mut out, &format!("  left out    {left}"));
    }
    line(&mut out, &format!("  plan        {}", report.plan.digest));
    line(
        &mut out,
        &format!(
            "  cut         {} ms from the declaration, its records included",
            millis(report.cut_us)
        ),
    );
    lifelines(&mut out, report);
    probes(&mut out, &report.probes);
    for left in &report.not_probed {
        line(&mut out, &format!("  not probed  {left}"));
    }
    match report.drift.put_right_ms {
        Some(ms) => line(
            &mut out,
            &format!(
                "  drift       put right after {}: {}",
                written_ms(ms),
                report.drift.sabotage
            ),
        ),
        None => line(
            &mut out,
            &format!("  drift       NOT put right: {}", report.drift.sabotage),
        ),
    }
    restore(&mut out, report);
    for warning in &report.plan.warnings {
        line(&mut out, &format!("  note        {warning}"));
    }
    line(&mut out, "");
    for failure in &report.failures {
        line(&mut out, &format!("  FAILED      {failure}"));
    }
    let verdict = if report.held {
        "held: everything went as the plan says"
    } else {
        "DID NOT HOLD"
    };
    line(&mut out, &format!("{verdict} ({})", written_ms(report.took_ms)));
    out
}

fn lifelines(out: &mut String, report: &Report) {
    for lifeline in &report.lifelines {
        let fate = if !lifeline.untested.is_empty() {
            format!("not tested: {}", lifeline.untested)
        } else {
            let paused = match lifeline.paused {
                0 => String::new(),
                paused => format!(" (and {paused} while the kernel paused the link, as the plan warns)"),
            };
            format!("{} of {} probes lost{paused}", lifeline.lost, lifeline.sent)
        };
        line(out, &format!("  lifeline    {fate}; {}", lifeline.what));
    }
}

fn probes(out: &mut String, probes: &[ProbeResult]) {
    let of = |expected: Expectation| probes.iter().filter(move |p| p.expected == expected && p.before);
    let stopped = of(Expectation::Stops).filter(|p| !p.during).count();
    let passed = of(Expectation::Passes).filter(|p| p.during).count();
    let leaks = of(Expectation::Stops).filter(|p| p.during).count();
    let silent = probes.iter().filter(|p| !p.before).count();
    line(
        out,
        &format!(
            "  stopped     {stopped} of {} probes that the plan forbids",
            of(Expectation::Stops).count()
        ),
    );
    line(
        out,
        &format!(
            "  passed      {passed} of {} probes that the plan keeps",
            of(Expectation::Passes).count()
        ),
    );
    line(
        out,
        &format!(
            "  leaks       {}",
            if leaks == 0 {
                "none".to_owned()
            } else {
                leaks.to_string()
            }
        ),
    );
    if silent > 0 {
        line(
            out,
            &format!("  unproven    {silent} probes did not pass before the cut either"),
        );
    }
}

fn restore(out: &mut String, report: &Report) {
    let receipt = &report.receipt;
    let lines = receipt.residues.len();
    let verdict = if lines == 0 {
        "empty diff".to_owned()
    } else {
        format!("{lines} residues")
    };
    line(
        out,
        &format!("  restore     {verdict}; baseline {}", receipt.baseline_digest),
    );
    for residue in &receipt.residues {
        line(out, &format!("              {}", safe(residue)));
    }
    for named in &receipt.not_recreated {
        line(
            out,
            &format!("              as the plan said, not recreated: {}", safe(named)),
        );
    }
}

fn millis(us: u64) -> String {
    format!("{}.{:03}", us / 1000, us % 1000)
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", safe(text)).expect("a string takes any text");
}
