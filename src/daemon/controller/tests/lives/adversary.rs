//! What befalls a host: operators, other people, processes that die, clocks, disks and kernels that fail.

use nix::errno::Errno;
use nix::libc::{EBUSY, ENOBUFS, EPERM};

use super::fate::Rest;
use super::life::{Life, Post};
use super::random::Random;
use super::world::{DEFAULT_MS, INSIDE, Kind, MAXIMUM_MS, TWO_PEOPLE, UPLINK};

const YEAR_MS: i64 = 365 * 24 * 3_600_000;
/// 2100-01-01 in milliseconds since 1970.
const YEAR_2100_MS: i64 = 4_102_444_800_000;

#[derive(Clone, Debug)]
pub(super) enum Event {
    Pass(u64),
    Declare {
        kind: Kind,
        duration_ms: Option<u64>,
        confirm_within_ms: Option<u64>,
        break_glass: bool,
    },
    Approve,
    Reject,
    CloseReview,
    Confirm,
    Extend(u64),
    Revert,
    Look,
    Kill,
    KillAt(u64),
    Stop,
    Start,
    GuardianDies,
    CutPower {
        off_ms: u64,
        up_ms: u64,
    },
    SetWall(i64),
    Suspend(u64),
    DiskFails {
        at: u64,
        errno: Errno,
        stays: bool,
    },
    DiskHeals,
    Refuse {
        change: u64,
        errno: i32,
    },
    EndSocket {
        change: u64,
        rest: Rest,
    },
    Unreadable {
        read: u64,
        times: u64,
    },
    Foreign(Foreign),
}

/// What somebody else changes in the network, and whether anybody is told of it.
#[derive(Clone, Debug)]
pub(super) struct Foreign {
    pub(super) what: Change,
    pub(super) is_seen: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    AddRoute(u64),
    RemoveRoute,
    PutDefaultBack,
    AddAddress(u32),
    RemoveAddress(u64),
    AddRule(u64),
    PutLocalBack,
    /// One of our objects goes, counted over all of them.
    RemoveOurs(u64),
    SetUplinkUp,
    SetInsideDown,
    AddLink,
    DeleteLink(u32),
}

/// The link that somebody adds.
pub(super) const ADDED: u32 = 9;

fn foreign(random: &mut Random) -> Foreign {
    let what = match random.below(16) {
        0 | 1 => Change::AddRoute(random.below(6)),
        2 => Change::RemoveRoute,
        3 => Change::PutDefaultBack,
        4 => Change::AddAddress(*random.pick(&[UPLINK, INSIDE])),
        5 => Change::RemoveAddress(random.below(2)),
        6 => Change::AddRule(random.below(4)),
        7 => Change::PutLocalBack,
        8 => Change::SetUplinkUp,
        9 => Change::SetInsideDown,
        10 => Change::AddLink,
        11 => Change::DeleteLink(*random.pick(&[UPLINK, INSIDE, ADDED, ADDED])),
        _ => Change::RemoveOurs(random.below(64)),
    };
    Foreign {
        what,
        is_seen: random.chance(70),
    }
}

fn declare(random: &mut Random, kinds: &[Kind]) -> Event {
    let kind = *random.pick(kinds);
    Event::Declare {
        kind,
        break_glass: kind.name == TWO_PEOPLE && random.chance(30),
        duration_ms: random.chance(50).then(|| random.between(1_000, MAXIMUM_MS)),
        confirm_within_ms: random.chance(30).then(|| random.between(1_000, DEFAULT_MS)),
    }
}

fn wall(random: &mut Random, now_ms: i64) -> i64 {
    let years = i64::try_from(random.between(1, 9)).unwrap() * YEAR_MS;
    match random.below(4) {
        0 => 0,
        1 => YEAR_2100_MS,
        2 => now_ms + years,
        _ => now_ms - years,
    }
}

fn failure(random: &mut Random) -> Event {
    let at = random.between(1, 30);
    match random.below(6) {
        0 | 1 => Event::DiskFails {
            at,
            errno: *random.pick(&[Errno::EIO, Errno::ENOSPC]),
            stays: random.chance(50),
        },
        2 => Event::DiskHeals,
        3 => Event::Refuse {
            change: at,
            errno: *random.pick(&[EPERM, EBUSY, ENOBUFS]),
        },
        4 => Event::EndSocket {
            change: at,
            rest: *random.pick(&[Rest::Executed, Rest::Lost]),
        },
        _ => Event::Unreadable {
            read: random.between(1, 5),
            times: random.between(1, 3),
        },
    }
}

/// What happens next.
pub(super) fn next(life: &mut Life) -> Event {
    let held = life.emergencies().len();
    let proposed = life.controller().map_or(0, |c| c.proposals.len());
    let reviewed = life.controller().map_or(0, |c| c.reviews.len());
    let gone = life.post().is_none();
    let wall_ms = crate::daemon::clock::Clock::now(&life.clocks).wall_ms;
    let random = &mut life.random;
    // Somebody who can start a process does so before long.
    if gone && random.chance(50) {
        return Event::Start;
    }
    if proposed > 0 && random.chance(40) {
        return if random.chance(80) {
            Event::Approve
        } else {
            Event::Reject
        };
    }
    if reviewed > 0 && random.chance(10) {
        return Event::CloseReview;
    }
    if held == 0 && random.chance(40) {
        return declare(random, &life.kinds);
    }
    match random.below(40) {
        0..8 => Event::Pass(random.between(1, 12_000)),
        8 | 9 => declare(random, &life.kinds),
        10 => Event::Confirm,
        11 => Event::Extend(random.between(1_000, MAXIMUM_MS)),
        12 | 13 => Event::Revert,
        14 => Event::Look,
        15 => Event::Kill,
        16..20 => Event::KillAt(random.between(1, 80)),
        20 => Event::Stop,
        21 => Event::Start,
        22 => Event::GuardianDies,
        23 | 24 => Event::CutPower {
            off_ms: random.below(20_000),
            up_ms: random.between(1, 10_000),
        },
        25 => Event::SetWall(wall(random, wall_ms)),
        26 => Event::Suspend(random.between(1, 60_000)),
        27..31 => failure(random),
        _ => Event::Foreign(foreign(random)),
    }
}

/// Whoever is at hand to start.
pub(super) const BEGINNER: Post = Post::Daemon;
