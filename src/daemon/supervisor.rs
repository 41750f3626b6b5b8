//! What the service manager is told (sd_notify(3)): ready, alive, what stands, stopping.
//!
//! The sign of life comes from the controller's loop, so that a daemon whose controller hangs is killed and started
//! again, and the journal is taken up. Nothing here is awaited and no failure here stops a cut or a restore. Without a
//! service manager it is silent.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::warn;

/// Where no watchdog is asked for, the loop's own pace is enough.
const WITHOUT_WATCHDOG: Duration = Duration::from_secs(60 * 60);
/// So many signs of life in one period of the watchdog: one may come late.
const SIGNS_PER_PERIOD: u32 = 4;

/// Who wants to know that the controller lives.
#[derive(Debug)]
pub enum Supervisor {
    /// A drill, or a daemon started by hand.
    Nobody,
    /// A service manager, with the period of its watchdog where it set one (`WatchdogSec=`).
    Manager {
        /// `WATCHDOG_USEC`.
        watchdog: Option<Duration>,
        /// The last sign of life.
        last: Option<Instant>,
        /// The last status line; it is sent when it changes.
        status: String,
    },
}

impl Supervisor {
    /// Of this process, by its environment (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
    #[must_use]
    pub fn of_process() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self::Nobody;
        }
        Self::Manager {
            watchdog: sd_notify::watchdog_enabled(),
            last: None,
            status: String::new(),
        }
    }

    /// How long the controller may at most wait between two signs of life.
    #[must_use]
    pub fn longest_silence(&self) -> Duration {
        match self {
            Self::Nobody | Self::Manager { watchdog: None, .. } => WITHOUT_WATCHDOG,
            Self::Manager {
                watchdog: Some(period), ..
            } => *period / SIGNS_PER_PERIOD,
        }
    }

    /// The controller's loop came by; `standing` is what stands, in one line.
    pub fn alive(&mut self, standing: impl FnOnce() -> String) {
        let silence = self.longest_silence();
        let Self::Manager { watchdog, last, status } = self else {
            return;
        };
        if watchdog.is_some() && last.is_none_or(|last| last.elapsed() * 2 >= silence) {
            tell(NotifyState::Watchdog);
            *last = Some(Instant::now());
        }
        let standing = standing();
        if standing != *status {
            tell(NotifyState::Status(&standing));
            *status = standing;
        }
    }
}

/// The socket answers and the journal has been taken up.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// No new requests are taken. A cut in force stays in force.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the service manager could not be told, ignoring");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_nothing_and_asks_for_no_pace() {
        let mut nobody = Supervisor::Nobody;
        nobody.alive(|| panic!("nobody asked what stands"));
        assert_eq!(nobody.longest_silence(), WITHOUT_WATCHDOG);
    }

    #[test]
    fn a_watchdog_gets_several_signs_of_life_in_its_period() {
        let supervisor = Supervisor::Manager {
            watchdog: Some(Duration::from_secs(60)),
            last: None,
            status: String::new(),
        };
        assert_eq!(supervisor.longest_silence(), Duration::from_secs(15));
    }

    #[test]
    fn the_status_line_is_made_anew_only_where_it_differs() {
        let mut supervisor = Supervisor::Manager {
            watchdog: None,
            last: None,
            status: String::new(),
        };
        supervisor.alive(|| "isolate-host in-force".to_owned());
        let Supervisor::Manager { status, last, .. } = supervisor else {
            panic!("a manager stays one");
        };
        assert_eq!(status, "isolate-host in-force");
        assert_eq!(last, None, "no sign of life where no watchdog was asked for");
    }
}
