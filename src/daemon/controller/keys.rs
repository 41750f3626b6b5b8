//! Idempotency keys: the same key with the same request leads to the same emergency, as it stands by then, and nothing is
//! done twice while the daemon runs and remembers the key.

use std::collections::VecDeque;

use serde::Serialize;

use crate::api::error::{ApiError, Code};
use crate::model::names::{Digest, EmergencyId};

/// Keys that are remembered; the oldest goes first.
const KEYS_MAX: usize = 1024;

/// What was done under which key. Forgotten at a restart: a request that is repeated after it is a new one.
#[derive(Debug, Default)]
pub(super) struct Keys {
    seen: VecDeque<(String, Digest, EmergencyId)>,
}

impl Keys {
    /// The emergency that this key and request led to before, if any.
    pub(super) fn earlier(&self, key: Option<&str>, request: &impl Serialize) -> Result<Option<EmergencyId>, ApiError> {
        let Some((_, digest, id)) = self.seen.iter().find(|(seen, ..)| Some(seen.as_str()) == key) else {
            return Ok(None);
        };
        if *digest != of(request) {
            return Err(ApiError::new(
                Code::KeyReused,
                "the idempotency key was used for another request",
                "take a new key for a new request",
            ));
        }
        Ok(Some(*id))
    }

    /// Remembers that the key and request led to this emergency.
    pub(super) fn remember(&mut self, key: Option<&str>, request: &impl Serialize, id: EmergencyId) {
        if let Some(key) = key {
            self.seen.truncate(KEYS_MAX - 1);
            self.seen.push_front((key.to_owned(), of(request), id));
        }
    }
}

/// Requests are told apart by the text in which this daemon would write them.
fn of(request: &impl Serialize) -> Digest {
    Digest::of(&serde_json::to_vec(request).expect("a request came as JSON"))
}
