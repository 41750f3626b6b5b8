//! What a caller can take from the server: connections, requests, bytes and time. What the controller and the store hold
//! for callers has its limit there. Tests shorten these, and a daemon with few descriptors takes fewer connections.

use std::time::Duration;

/// Places for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// For everybody together. The last [`Places::each`] of them are kept for uid 0, so that others cannot keep the
    /// operator at the console from ending a cut.
    pub all: usize,
    /// For one user.
    pub each: usize,
}

/// What callers may take. The fields of [`Limits::DEFAULT`] say why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once over which everything may be asked.
    pub open: Places,
    /// Connections beyond these, over which only what cuts and restores may be asked.
    pub urgent: Places,
    /// Requests on one connection.
    pub requests_per_connection: usize,
    /// After this a connection takes no new request.
    pub connection_lifetime: Duration,
    /// How long a connection that takes no new request may still wait for an answer or for its reader.
    pub answer_grace: Duration,
    /// From the start of waiting for a request to the end of its head. Also the longest idle time of a connection.
    pub header_timeout: Duration,
    /// From the head to the end of the body.
    pub body_timeout: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// Bytes of a request's head, and of hyper's buffers.
    pub buffer_bytes: usize,
    /// The pause after a failed accept.
    pub accept_pause: Duration,
    /// How long a shutdown waits for answers under way.
    pub shutdown_grace: Duration,
    /// Refusals of one user that are recorded in each [`Limits::refusal_period`].
    pub refusals_per_period: usize,
    /// See there.
    pub refusal_period: Duration,
}

impl Limits {
    /// The limits of the daemon.
    pub const DEFAULT: Self = Self {
        // The daemon has one operator or two; sixty-four is every hook and console of a busy host at once. Three users
        // must misbehave together before a fourth is turned away, and root never is.
        open: Places { all: 64, each: 16 },
        // An operator's own scripts may ask for plans without end; the revert of the same user still gets through.
        urgent: Places { all: 16, each: 8 },
        requests_per_connection: 100,
        // Longer than any answer but a restore of a full routing table; `status --watch` connects anew each time.
        connection_lifetime: Duration::from_secs(60),
        answer_grace: Duration::from_secs(60),
        // A local client writes its head in one write.
        header_timeout: Duration::from_secs(3),
        body_timeout: Duration::from_secs(5),
        // The largest body is a declaration: about 1 KiB of text.
        body_bytes: 64 * 1024,
        headers: 32,
        buffer_bytes: 16 * 1024,
        accept_pause: Duration::from_millis(100),
        shutdown_grace: Duration::from_secs(5),
        // An operator mistypes a few times; a loop does not.
        refusals_per_period: 60,
        refusal_period: Duration::from_secs(60),
    };
}

/// Descriptors that the daemon needs for itself, with room to spare: it holds two dozen while it cuts or restores.
const OWN_DESCRIPTORS: usize = 32;

impl Limits {
    /// The same, with no more connections at each of so many sockets than leave the daemon its own descriptors. With none left it
    /// could not even open its journal.
    #[must_use]
    pub fn within(self, descriptors: usize, sockets: usize) -> Self {
        let (wanted, left) = (
            self.open.all + self.urgent.all,
            descriptors.saturating_sub(OWN_DESCRIPTORS) / sockets,
        );
        if wanted <= left {
            return self;
        }
        let scaled = |places: Places| Places {
            all: (places.all * left / wanted).max(2),
            each: (places.each * left / wanted).max(1),
        };
        Self {
            open: scaled(self.open),
            urgent: scaled(self.urgent),
            ..self
        }
    }
}

/// Bytes of an idempotency key or of a plan's digest.
pub const TOKEN_BYTES: usize = 128;
/// Bytes of a policy's name or an emergency's id in a path.
pub const PATH_PARAMETER_BYTES: usize = 128;
/// Characters of a request that an error repeats.
pub const DETAIL_CHARACTERS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_the_daemon_its_own_descriptors() {
        assert_eq!(Limits::DEFAULT.within(1_024, 2), Limits::DEFAULT);
        for (descriptors, sockets) in [(40, 1), (64, 1), (100, 1), (64, 2), (100, 2)] {
            let limits = Limits::DEFAULT.within(descriptors, sockets);
            assert!(
                sockets * (limits.open.all + limits.urgent.all) + OWN_DESCRIPTORS <= descriptors,
                "{limits:?}"
            );
            assert!(
                limits.open.each >= 1 && limits.open.all > limits.open.each,
                "{limits:?}"
            );
        }
    }
}
