//! Has refusals recorded, but not every one of a flood.
//!
//! A record is written durably by the one task that also cuts and restores. Whoever may open the socket could otherwise
//! keep it busy, and fill the disk, with requests that it refuses. So each user has a share of records a period; the
//! record that opens the next period says how many were left out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::limits::Limits;
use crate::api::error::ApiError;
use crate::daemon::command::{ControllerHandle, Peer};

/// Where refusals go. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    controller: ControllerHandle,
    limits: Limits,
    // One entry for each user who was ever refused: no more than there are users who may open the socket.
    shares: Arc<Mutex<BTreeMap<u32, Share>>>,
}

/// What one user has had in this period.
#[derive(Clone, Copy, Debug)]
struct Share {
    since: Instant,
    recorded: usize,
    left_out: usize,
}

impl Refusals {
    pub(super) fn new(controller: ControllerHandle, limits: Limits) -> Self {
        Self {
            controller,
            limits,
            shares: Arc::default(),
        }
    }

    /// Has a refusal recorded, or counts it where the user's share is used up or the queue is full.
    pub(super) fn record(&self, peer: Peer, error: ApiError) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = Share {
            since: now,
            recorded: 0,
            left_out: 0,
        };
        let share = shares.entry(peer.uid).or_insert(fresh);
        let mut before = 0;
        if now.duration_since(share.since) >= self.limits.refusal_period {
            before = share.left_out;
            *share = fresh;
        }
        let uid = peer.uid;
        if share.recorded < self.limits.refusals_per_period
            && self.controller.record_refusal(peer, counting(error, before))
        {
            share.recorded += 1;
            return;
        }
        if share.left_out == 0 {
            tracing::warn!(uid, "more refusals than are recorded, skipping the records");
        }
        share.left_out += before + 1;
    }
}

fn counting(error: ApiError, left_out: usize) -> ApiError {
    if left_out == 0 {
        return error;
    }
    let detail = format!(
        "{} (and {left_out} refusals before it that are not recorded)",
        error.detail
    );
    ApiError { detail, ..error }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::error::Code;
    use crate::daemon::command::{Call, Command};

    fn refusal() -> ApiError {
        ApiError::new(Code::BadRequest, "no", "")
    }

    fn peer(uid: u32) -> Peer {
        Peer::new(uid, 0, None)
    }

    #[test]
    fn a_flood_of_one_user_is_counted_and_does_not_silence_another() {
        let (controller, mut calls) = ControllerHandle::channel();
        let limits = Limits {
            refusals_per_period: 3,
            ..Limits::DEFAULT
        };
        let refusals = Refusals::new(controller, limits);
        for _ in 0..10 {
            refusals.record(peer(1), refusal());
        }
        refusals.record(peer(2), refusal());
        let uids: Vec<u32> = std::iter::from_fn(|| calls.try_recv().ok())
            .map(|call| call.peer.uid)
            .collect();
        assert_eq!(uids, [1, 1, 1, 2]);
    }

    #[test]
    fn the_next_period_says_what_the_last_one_left_out() {
        let (controller, mut calls) = ControllerHandle::channel();
        let limits = Limits {
            refusals_per_period: 1,
            refusal_period: Duration::from_secs(60),
            ..Limits::DEFAULT
        };
        let refusals = Refusals::new(controller, limits);
        for _ in 0..5 {
            refusals.record(peer(1), refusal());
        }
        let later = Refusals {
            limits: Limits {
                refusal_period: Duration::ZERO,
                ..limits
            },
            ..refusals
        };
        later.record(peer(1), refusal());
        let details = std::iter::from_fn(|| match calls.try_recv() {
            Ok(Call {
                command: Command::Refused(error),
                ..
            }) => Some(error.detail),
            Ok(_) | Err(_) => None,
        });
        let details: Vec<String> = details.collect();
        assert_eq!(details, ["no", "no (and 4 refusals before it that are not recorded)"]);
    }

    #[test]
    fn a_full_queue_counts_as_left_out() {
        let (controller, _calls) = ControllerHandle::channel();
        let limits = Limits {
            refusals_per_period: ControllerHandle::QUEUE + 10,
            ..Limits::DEFAULT
        };
        let refusals = Refusals::new(controller, limits);
        for _ in 0..ControllerHandle::QUEUE + 5 {
            refusals.record(peer(1), refusal());
        }
        let shares = refusals.shares.lock().unwrap();
        assert_eq!((shares[&1].recorded, shares[&1].left_out), (ControllerHandle::QUEUE, 5));
    }
}
