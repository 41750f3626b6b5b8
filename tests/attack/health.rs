//! What the kernel says of the daemon's process: memory, processor time, descriptors, dead children.

use std::fs;
use std::time::{Duration, Instant};

use super::daemon::Daemon;
use super::world::wait_until;

/// Descriptors that may be more after an attack than before: files that are opened when first needed, and the guardian's.
pub const SLACK: usize = 8;

/// At one moment.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// VmHWM: the most memory that it ever had, in KiB.
    pub peak_kib: u64,
    pub descriptors: usize,
    pub zombies: usize,
}

impl Health {
    pub fn of(daemon: &Daemon) -> Self {
        let pid = daemon.kid.pid();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        Self {
            peak_kib: peak.trim().trim_end_matches(" kB").parse().unwrap(),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(),
            zombies: zombies(&pid.to_string()),
        }
    }

    /// Processor time that it takes within a time of the wall clock.
    pub fn spent(daemon: &Daemon, within: Duration) -> Duration {
        let (begun, before) = (Instant::now(), processor(daemon));
        wait_until("the time is over", within * 2, || begun.elapsed() >= within);
        processor(daemon) - before
    }
}

/// User and system time of all its threads (proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms).
fn processor(daemon: &Daemon) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.kid.pid())).unwrap();
    let ticks: u64 = after_name(&stat)
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn zombies(parent: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        // A process that is gone meanwhile is no zombie.
        fs::read_to_string(entry.unwrap().path().join("stat")).ok()
    });
    processes
        .filter(|stat| {
            let mut fields = after_name(stat).split(' ');
            (fields.next(), fields.next()) == (Some("Z"), Some(parent))
        })
        .count()
}

/// The fields from the third on: the second, the name, may hold anything.
fn after_name(stat: &str) -> &str {
    stat.rsplit_once(") ").map_or("", |(_, rest)| rest)
}
