//! Who gets a place. Counting only: it never waits, so a flood cannot keep the accept loop from the next caller.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::limits::Limits;

/// The places taken.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    served: usize,
    turned_away: usize,
    by_uid: BTreeMap<u32, usize>,
}

/// What a connection gets.
#[derive(Debug)]
pub(super) enum Place {
    /// Its requests are answered.
    Served(Ticket),
    /// Its first request is answered with `busy`.
    TurnedAway(Ticket),
    /// It is closed unread.
    Closed,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    taken: Arc<Mutex<Taken>>,
    served_uid: Option<u32>,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            taken: Arc::default(),
        }
    }

    pub(super) fn admit(&self, uid: u32) -> Place {
        let mut taken = lock(&self.taken);
        let of_uid = taken.by_uid.get(&uid).copied().unwrap_or(0);
        if taken.served < self.room(uid) && of_uid < self.limits.connections_per_uid {
            taken.served += 1;
            taken.by_uid.insert(uid, of_uid + 1);
            return Place::Served(self.ticket(Some(uid)));
        }
        if taken.turned_away < self.limits.turned_away {
            taken.turned_away += 1;
            return Place::TurnedAway(self.ticket(None));
        }
        Place::Closed
    }

    /// Places that a user may find free. Root's own are not counted away from it by others.
    fn room(&self, uid: u32) -> usize {
        let kept_for_root = if uid == 0 { 0 } else { self.limits.connections_per_uid };
        self.limits.connections.saturating_sub(kept_for_root)
    }

    fn ticket(&self, served_uid: Option<u32>) -> Ticket {
        Ticket {
            taken: Arc::clone(&self.taken),
            served_uid,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        let Some(uid) = self.served_uid else {
            taken.turned_away -= 1;
            return;
        };
        taken.served -= 1;
        match taken.by_uid.get(&uid).copied() {
            Some(of_uid) if of_uid > 1 => taken.by_uid.insert(uid, of_uid - 1),
            Some(_) | None => taken.by_uid.remove(&uid),
        };
    }
}

/// Counters stay right even if a holder of the lock panicked: every change to them is a single statement.
fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        connections: 5,
        connections_per_uid: 2,
        turned_away: 1,
        ..Limits::DEFAULT
    };

    #[test]
    fn one_user_cannot_take_every_place() {
        let admission = Admission::new(LIMITS);
        let first = admission.admit(1000);
        assert!(matches!(first, Place::Served(_)));
        let second = admission.admit(1000);
        assert!(matches!(second, Place::Served(_)));
        let third = admission.admit(1000);
        assert!(matches!(third, Place::TurnedAway(_)));
        assert!(matches!(admission.admit(1000), Place::Closed));
        let other = admission.admit(1001);
        assert!(matches!(other, Place::Served(_)));
        drop((first, third));
        assert!(matches!(admission.admit(1000), Place::Served(_)));
    }

    #[test]
    fn everybody_together_cannot_keep_root_out() {
        let admission = Admission::new(LIMITS);
        let held: Vec<Place> = (1000..1010).map(|uid| admission.admit(uid)).collect();
        assert_eq!(held.iter().filter(|place| matches!(place, Place::Served(_))).count(), 3);
        let root = [admission.admit(0), admission.admit(0)];
        assert!(root.iter().all(|place| matches!(place, Place::Served(_))));
    }

    #[test]
    fn a_place_given_back_leaves_no_trace() {
        let admission = Admission::new(LIMITS);
        for _ in 0..10 {
            drop((admission.admit(7), admission.admit(7), admission.admit(7)));
        }
        let taken = lock(&admission.taken);
        assert_eq!((taken.served, taken.turned_away, taken.by_uid.len()), (0, 0, 0));
    }
}
