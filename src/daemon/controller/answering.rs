//! Answers on their way back: whoever hung up gets none, and every refusal has its record.

use serde_json::json;
use tracing::info;

use super::Controller;
use crate::api::EmergencyView;
use crate::api::error::ApiError;
use crate::daemon::command::Reply;
use crate::model::record::{Actor, Draft, EventKind};

/// What is to be done with what came of a declaration or an approval.
pub(super) type Done = Box<dyn FnOnce(&mut Controller, Result<EmergencyView, ApiError>) + Send>;

/// Hands it over to who asked at the socket.
pub(super) fn handing_over(asker: Actor, reply: Reply<EmergencyView>) -> Done {
    Box::new(move |controller, answer| controller.hand_over(&asker, reply, answer))
}

impl Controller {
    /// Runs a request that may be refused, and has the refusal recorded.
    pub(super) fn recorded<T>(
        &mut self,
        asker: &Actor,
        request: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        request(self).inspect_err(|error| self.note_refusal(asker, error))
    }

    /// Answers, with a refusal recorded.
    pub(super) fn hand_over<T>(&mut self, asker: &Actor, reply: Reply<T>, answer: Result<T, ApiError>) {
        let answer = self.recorded(asker, |_| answer);
        if reply.send(answer).is_err() {
            info!("the caller hung up before the answer");
        }
    }

    pub(super) fn note_refusal(&mut self, asker: &Actor, error: &ApiError) {
        let mut details = json!({ "code": error.code, "detail": error.detail });
        if let Some(reason) = &error.reason {
            details["reason"] = json!(reason);
        }
        self.note(Draft {
            event: EventKind::RequestRefused,
            actor: asker.clone(),
            emergency: None,
            policy: None,
            details,
        });
    }
}
