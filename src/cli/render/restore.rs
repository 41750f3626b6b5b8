//! The result of a restore without the daemon.

use super::{Paint, paint, receipt, section};
use crate::api::offline::{OfflineRestore, Way};

pub(crate) fn offline(done: &OfflineRestore) -> String {
    let style = if done.left.is_empty() {
        Paint::Calm
    } else {
        Paint::Alarm
    };
    let (head, sentence) = match done.way {
        Way::Journal => ("Restored", "by the journal, to the baseline"),
        Way::Baseline => (
            "Restored",
            "by the baseline: there was no readable journal, so whatever a cut can have taken was put back",
        ),
        Way::Marks => (
            "Restored",
            "by our marks: what carries them is removed, and the `local` rules stand",
        ),
        Way::Nothing => (
            "Nothing to restore",
            "nothing was held, and nothing of ours stood in the kernel",
        ),
    };
    let head = if done.left.is_empty() { head } else { "Restored in part" };
    let mut text = format!("{}: {sentence}\n", paint(style, head));
    for proof in &done.receipts {
        text += "\n";
        text += &receipt::receipt(proof);
    }
    if done.way != Way::Journal {
        text += &section(Paint::Strong, "Changed", &done.changed);
    }
    text + &section(Paint::Alarm, "To be looked at by a person", &done.left)
}
