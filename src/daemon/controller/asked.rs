//! A cut that is asked for.

use crate::api::DeclareRequest;
use crate::daemon::command::Preconditions;
use crate::model::record::Actor;

/// Who asks for a cut, and for which.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) asker: Actor,
    pub(super) request: DeclareRequest,
    pub(super) pre: Preconditions,
    pub(super) word: Word,
}

/// On whose word it is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// On that of who asks.
    Asker,
    /// On that of the sources whose alerts call for it.
    Sources,
}

impl Asked {
    /// By somebody, on their own word.
    pub(super) fn by(asker: Actor, request: DeclareRequest, pre: Preconditions) -> Self {
        let word = Word::Asker;
        Self {
            asker,
            request,
            pre,
            word,
        }
    }
}
