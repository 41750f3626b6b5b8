//! The proof after a restore.

use super::{Paint, fields, paint, safe, section, word};
use crate::api::{EmergencyState, ReceiptView};

pub(crate) fn receipt(receipt: &ReceiptView) -> String {
    let good = receipt.residues.is_empty() && receipt.state != EmergencyState::Stuck;
    let listed = !receipt.kept_foreign_changes.is_empty() || !receipt.not_recreated.is_empty();
    let explained = good && listed && receipt.conflicts.is_empty();
    let style = if good { Paint::Calm } else { Paint::Alarm };
    let state = paint(style, &word(&receipt.state));
    let heading = paint(Paint::Strong, &format!("Emergency {}", safe(&receipt.emergency)));
    let restored = receipt.restored_digest.as_ref();
    let same = match restored {
        Some(digest) if *digest == receipt.baseline_digest && receipt.not_recreated.is_empty() => {
            "the same as before the cut"
        }
        Some(_) if explained => "the same as before the cut but for what is listed below",
        Some(_) => "not the same as before the cut",
        None => "",
    };
    let mut text = format!("{heading}: {state}\n");
    text += &fields(
        "  ",
        [
            (
                "cut in",
                receipt.cut_us.map(|us| format!("{us} µs")).unwrap_or_default(),
            ),
            ("before", receipt.baseline_digest.clone()),
            ("after", restored.cloned().unwrap_or_default()),
            ("", same.to_owned()),
        ],
    );
    text += &section(
        Paint::Alarm,
        "Residue: could not be undone, call a person",
        &receipt.residues,
    );
    text += &section(
        Paint::Caution,
        "Conflicts: others changed it, left as it is",
        &receipt.conflicts,
    );
    text += &section(
        Paint::Strong,
        "Changes of others that were kept",
        &receipt.kept_foreign_changes,
    );
    text += &section(Paint::Caution, "Came back by meaning only", &receipt.not_recreated);
    text + &section(
        Paint::Caution,
        "Was not there before; the kernel makes it when the carrier comes",
        &receipt.to_come,
    )
}
