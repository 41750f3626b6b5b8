//! Who gets a place, and who loses it. Bookkeeping only: it never waits, so a flood cannot keep the accept loop from the
//! next caller.
//!
//! A place is idle until a whole request has come over it, and again when that is answered. Where there is no place left
//! for a caller, the connection that has been idle longest makes room: whoever only holds connections open, even as the
//! operator's own user, keeps nobody out. Places with a request under way are never taken; when all of a user's are, a
//! few more are there for what cuts and restores (see [`Lane`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::limits::{Limits, Places};

/// What may be asked over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Everything.
    Open,
    /// What declares, confirms, extends and ends; all else is answered with `busy`.
    Urgent,
}

/// The places taken.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    limits: Limits,
    book: Arc<Mutex<Book>>,
}

#[derive(Debug, Default)]
struct Book {
    /// Counts arrivals and answers, so that a greater number was active later.
    clock: u64,
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    uid: u32,
    lane: Lane,
    /// None while a request is under way.
    idle_since: Option<u64>,
    leave: Arc<Notify>,
}

/// A place, given back when dropped. Cheap to clone; it is given back with the first.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    book: Arc<Mutex<Book>>,
    number: u64,
    leave: Arc<Notify>,
}

/// A place and its holder's duty to give it back.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) seat: Seat,
    pub(super) lane: Lane,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            book: Arc::default(),
        }
    }

    /// A place for a new connection. None: every place that the user could have has a request under way.
    pub(super) fn admit(&self, uid: u32) -> Option<Ticket> {
        let mut book = lock(&self.book);
        let lanes = [(Lane::Open, self.limits.open), (Lane::Urgent, self.limits.urgent)];
        let (lane, _) = lanes
            .into_iter()
            .find(|(lane, places)| book.make_room(*lane, *places, uid))?;
        let (number, leave) = (book.tick(), Arc::new(Notify::new()));
        let held = Held {
            uid,
            lane,
            idle_since: Some(number),
            leave: Arc::clone(&leave),
        };
        book.held.insert(number, held);
        let seat = Seat {
            book: Arc::clone(&self.book),
            number,
            leave,
        };
        Some(Ticket { seat, lane })
    }
}

impl Book {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Whether there is room for one more, if need be by sending away whoever has been idle longest: of the same user,
    /// or of the one with the most places where the user has a claim to one more.
    fn make_room(&mut self, lane: Lane, places: Places, uid: u32) -> bool {
        let mut by_uid = BTreeMap::<u32, usize>::new();
        for held in self.held.values().filter(|held| held.lane == lane) {
            *by_uid.entry(held.uid).or_default() += 1;
        }
        let own = by_uid.get(&uid).copied().unwrap_or(0);
        if own >= places.each {
            return self.send_away(lane, uid);
        }
        let others: usize = by_uid.iter().filter(|(held, _)| **held != 0).map(|(_, n)| n).sum();
        // The places of uid 0 are its own: nobody else counts against them.
        if uid == 0 || others < places.all.saturating_sub(places.each) {
            return true;
        }
        let mut most: Vec<(usize, u32)> = by_uid.into_iter().map(|(uid, n)| (n, uid)).collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        most.into_iter()
            .filter(|(n, other)| *other != 0 && *n > own)
            .any(|(_, other)| self.send_away(lane, other))
    }

    fn send_away(&mut self, lane: Lane, uid: u32) -> bool {
        let of_user = self
            .held
            .iter()
            .filter(|(_, held)| held.lane == lane && held.uid == uid);
        let longest_idle = of_user
            .filter_map(|(number, held)| Some((held.idle_since?, *number)))
            .min();
        let Some(gone) = longest_idle.and_then(|(_, number)| self.held.remove(&number)) else {
            return false;
        };
        gone.leave.notify_one();
        true
    }
}

impl Seat {
    /// A whole request has come: from now on nobody takes the place.
    pub(super) fn occupied(&self) {
        self.set(None);
    }

    /// The request is answered.
    pub(super) fn idle(&self) {
        let now = lock(&self.book).tick();
        self.set(Some(now));
    }

    /// Until the place was given to somebody else.
    pub(super) async fn taken(&self) {
        self.leave.notified().await;
    }

    fn set(&self, idle_since: Option<u64>) {
        if let Some(held) = lock(&self.book).held.get_mut(&self.number) {
            held.idle_since = idle_since;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Gone already if it was taken.
        lock(&self.seat.book).held.remove(&self.seat.number);
    }
}

/// The book stays right even if a holder of the lock panicked: every change to it is a single statement.
fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        open: Places { all: 5, each: 2 },
        urgent: Places { all: 2, each: 1 },
        ..Limits::DEFAULT
    };

    fn lane(place: &Option<Ticket>) -> Option<Lane> {
        place.as_ref().map(|ticket| ticket.lane)
    }

    fn busy(admission: &Admission, uid: u32) -> Option<Ticket> {
        let place = admission.admit(uid);
        place.iter().for_each(|ticket| ticket.seat.occupied());
        place
    }

    fn held(admission: &Admission) -> usize {
        lock(&admission.book).held.len()
    }

    #[tokio::test]
    async fn who_has_been_idle_longest_makes_room_for_the_next_of_the_same_user() {
        let admission = Admission::new(LIMITS);
        let (first, second) = (admission.admit(1000), admission.admit(1000));
        // The first was active after the second.
        first.as_ref().unwrap().seat.occupied();
        first.as_ref().unwrap().seat.idle();
        let third = admission.admit(1000);
        assert_eq!(lane(&third), Some(Lane::Open));
        second.as_ref().unwrap().seat.taken().await;
        assert_eq!(held(&admission), 2);
        drop(second);
        assert_eq!(held(&admission), 2, "a place that was taken is given back once");
        drop((first, third));
        assert_eq!(held(&admission), 0);
    }

    #[test]
    fn a_request_under_way_keeps_its_place_and_what_ends_a_cut_has_another() {
        let admission = Admission::new(LIMITS);
        let _open = [busy(&admission, 1000), busy(&admission, 1000)];
        let mut urgent = admission.admit(1000);
        assert_eq!(lane(&urgent), Some(Lane::Urgent));
        let next = admission.admit(1000);
        assert_eq!(lane(&next), Some(Lane::Urgent), "an idle one makes room here, too");
        urgent = next;
        urgent.as_ref().unwrap().seat.occupied();
        assert_eq!(lane(&admission.admit(1000)), None);
        assert_eq!(lane(&admission.admit(1001)), Some(Lane::Open));
    }

    #[test]
    fn everybody_together_cannot_keep_root_out() {
        let admission = Admission::new(LIMITS);
        let crowd: Vec<_> = (1000..1010).map(|uid| busy(&admission, uid)).collect();
        let of_lane = |wanted| crowd.iter().filter(|place| lane(place) == Some(wanted)).count();
        assert_eq!((of_lane(Lane::Open), of_lane(Lane::Urgent)), (3, 1));
        let root = [busy(&admission, 0), busy(&admission, 0), busy(&admission, 0)];
        assert_eq!(
            root.each_ref().map(lane),
            [Some(Lane::Open), Some(Lane::Open), Some(Lane::Urgent)]
        );
        assert_eq!(held(&admission), 7);
    }

    #[tokio::test]
    async fn in_a_full_house_the_user_with_the_most_places_makes_room() {
        let admission = Admission::new(LIMITS);
        let of_greedy = [admission.admit(1000), admission.admit(1000)];
        let _other = busy(&admission, 1001);
        assert_eq!(lane(&admission.admit(1002)), Some(Lane::Open));
        of_greedy[0].as_ref().unwrap().seat.taken().await;
    }

    #[test]
    fn a_place_given_back_leaves_no_trace() {
        let admission = Admission::new(LIMITS);
        for _ in 0..10 {
            drop((
                admission.admit(7),
                busy(&admission, 7),
                admission.admit(7),
                admission.admit(7),
            ));
        }
        assert_eq!(held(&admission), 0);
    }
}
