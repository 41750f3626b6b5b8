//! What a restore without the daemon gives to the command line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::ReceiptView;

/// Where the books are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The state directory, as the daemon's flag `--state`.
    pub state: Option<PathBuf>,
    /// The configuration, as its flag `--config`; it is read for the place of the books only.
    pub config: Option<PathBuf>,
}

/// What a host was brought back by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The journal was intact: each emergency was ended as `revert` ends it.
    Journal,
    /// The journal was damaged or gone, a copy of the baseline intact: whatever a cut can have taken is back.
    Baseline,
    /// No copy of the baseline was intact, or no cut was laid since the host came up: everything that carries our marks is
    /// removed, and nothing else is put back but the `local` rules.
    Marks,
    /// Nothing was held, and nothing of ours stood in the kernel.
    Nothing,
}

/// The result of `portcullis restore --offline`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfflineRestore {
    /// What it was brought back by.
    pub way: Way,
    /// The proof: one for each emergency of the journal, or one of emergency `unknown` for the baseline.
    pub receipts: Vec<ReceiptView>,
    /// What the kernel holds otherwise than before, one line an object.
    pub changed: Vec<String>,
    /// What a person must look at; empty when everything is known to be back.
    pub left: Vec<String>,
    /// Whether the journal stands still, because it could not be removed: the next daemon would lay the cut again.
    pub journal_stays: bool,
    /// Whether the audit log has all of it.
    pub recorded: bool,
    /// What could not be written, what follows from it at the next start of the daemon, and what to do.
    pub warnings: Vec<String>,
}

/// Why nothing was restored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct NotRestored {
    /// Which kind.
    pub kind: Obstacle,
    /// What was tried, on what, why it failed.
    pub detail: String,
    /// What to do.
    pub hint: String,
}

/// What is in the way of a restore without the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A process holds the state directory or the network namespace.
    InUse,
    /// The configuration cannot be read, and no state directory is named.
    Configuration,
    /// State directory or kernel cannot be used.
    Unusable,
}
