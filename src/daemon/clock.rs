//! The clocks, behind a trait, so that every decision can be tested at any time of day.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::model::emergency::Moment;

/// Tells the time.
pub trait Clock: Send {
    /// Both clocks, now.
    fn now(&self) -> Moment;

    /// Waits for so long, as for a kernel that needs time. A clock that is set by hand goes on by it.
    fn pause(&self, how_long: Duration) {
        std::thread::sleep(how_long);
    }
}

/// The kernel's clocks.
#[derive(Clone, Debug)]
pub struct SystemClock {
    boot_id: String,
}

/// Where the kernel names its boot (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl SystemClock {
    /// Reads the boot's name once; it does not change.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            boot_id: std::fs::read_to_string(BOOT_ID)?.trim().to_owned(),
        })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let read = |clock| clock_gettime(clock).expect("CLOCK_BOOTTIME and CLOCK_REALTIME exist since Linux 2.6.39");
        let boot = read(ClockId::CLOCK_BOOTTIME);
        let wall = read(ClockId::CLOCK_REALTIME);
        Moment {
            boot_id: self.boot_id.clone(),
            boottime_ms: u64::try_from(boot.tv_sec() * 1000 + boot.tv_nsec() / 1_000_000).unwrap_or(0),
            wall_ms: wall.tv_sec() * 1000 + wall.tv_nsec() / 1_000_000,
        }
    }
}
