//! The real kernel: [`Kernel`] over rtnetlink.
//!
//! It keeps no state of the network: every answer is read when it is asked for. It must never report a change that
//! was not acknowledged, nor a list that did not end. All calls block; a process that dies inside `apply` leaves the
//! kernel with every message of the sends made so far, and each send holds as many messages as there are answers
//! room for (65,536; 256 without CAP_NET_ADMIN over the initial user namespace).

use std::collections::BTreeSet;

use nix::libc;

use super::describe::{Names, attempted};
use super::socket::{Answer, Rejection, Torn, Transport};
use super::watch::{Drained, Events};
use super::wire::{self, Batch, Refusal};
use super::{ChangeError, Kernel, KernelError, Kinds, Watch, sysctl};
use crate::model::change::{Change, Outcome};
use crate::model::lookup::{Query, Way};
use crate::model::object::{Address, Attach, Family, Filter, Link, Neighbour, Nexthop, Qdisc, Route, Rule, Sysctl};
use crate::model::snapshot::{Object, Snapshot};

/// How often a snapshot is read until it holds still.
const SNAPSHOT_ATTEMPTS: u32 = 16;
/// How often a glance hopes that all of it holds still: a million routes take seconds to read.
const GLANCE_ATTEMPTS: u32 = 2;

/// What a lookup is refused with where there is no route, a rule or a route refuses (`fib_rules.c`, `fib_semantics.c`), the
/// packet may not come in over that link (`fib_frontend.c`), or that link is gone.
const LEADS_NOWHERE: [i32; 6] = [
    libc::ENETUNREACH,
    libc::EHOSTUNREACH,
    libc::EACCES,
    libc::EINVAL,
    libc::EXDEV,
    libc::ENODEV,
];

/// What is read, and what of it must hold still meanwhile.
#[derive(Clone, Copy, Debug)]
struct Sight {
    kinds: Kinds,
    still: Kinds,
}

fn torn(still: bool) -> Torn {
    if still { Torn::Refused } else { Torn::Accepted }
}

/// The sockets through which this program reads and changes one network namespace.
#[derive(Debug)]
pub struct Netlink {
    requests: Transport,
    /// Tells whether something changed while a snapshot was read. Subscribed only then.
    events: Events,
}

impl Netlink {
    /// Opens the sockets in the calling thread's network namespace. They stay there wherever they are used, but
    /// sysctls and [`Kernel::watch`] are those of the namespace of the thread that calls.
    ///
    /// # Errors
    /// If the kernel refuses a socket or an option that its answers depend on.
    pub fn open() -> Result<Self, KernelError> {
        Ok(Self {
            requests: Transport::open()?,
            events: Events::open()?,
        })
    }

    /// Reads until nothing happened to what is to hold still during a reading.
    ///
    /// Two readings that agree are no proof while something happens: both may be torn in the same way. They are taken
    /// only where all that came was word about links, which often comes without a change.
    fn steady(&mut self, sight: Sight, attempts: u32) -> Result<Snapshot, KernelError> {
        let mut before: Option<Snapshot> = None;
        let mut what = "objects";
        self.events.drain()?;
        for _ in 0..attempts {
            let mut now = self.read(sight)?;
            now.sort();
            let happened = self.events.drain()?;
            let difference = before
                .as_ref()
                .map(|before| first_difference(before, &now, sight.still));
            match (happened, difference) {
                (Drained::Nothing, _) | (Drained::Links, Some(None)) => return Ok(now),
                (Drained::Links | Drained::Changes | Drained::Overrun, difference) => {
                    what = difference.flatten().unwrap_or(what);
                }
            }
            before = Some(now);
        }
        Err(KernelError::Unsteady { what, attempts })
    }

    /// Listens, while it reads, to what tells about that which is to hold still.
    fn steady_subscribed(&mut self, sight: Sight, attempts: u32) -> Result<Snapshot, KernelError> {
        self.events.subscribe(sight.still)?;
        let read = self.steady(sight, attempts);
        let left = self.events.unsubscribe(sight.still);
        let snapshot = read?;
        left?;
        Ok(snapshot)
    }

    /// Reads each kind once.
    ///
    /// Links come last. Most lists are read without the kernel's lock (RTNL), the list of links is not: when it ends,
    /// whoever was amid a change that touches many objects, such as a link's going down, is through and has told it.
    fn read(&mut self, sight: Sight) -> Result<Snapshot, KernelError> {
        let Sight { kinds, still } = sight;
        let mut snapshot = Snapshot::default();
        for family in Family::BOTH {
            if kinds.addresses {
                snapshot
                    .addresses
                    .extend(self.addresses(family, torn(still.addresses))?);
            }
            if kinds.rules {
                snapshot.rules.extend(self.rules(family, torn(still.rules))?);
            }
            if kinds.neighbours {
                snapshot
                    .neighbours
                    .extend(self.neighbours(family, torn(still.neighbours))?);
            }
            if kinds.routes {
                snapshot.routes.extend(self.routes(family, torn(still.routes))?);
            }
        }
        if kinds.nexthops {
            snapshot.nexthops = self.nexthops(torn(still.nexthops))?;
        }
        if kinds.traffic_control {
            snapshot.qdiscs = self.qdiscs()?;
            snapshot.filters = self.filters(&snapshot.qdiscs)?;
        }
        if kinds.links || kinds.addresses || kinds.routes || kinds.nexthops || kinds.neighbours || kinds.sysctls {
            snapshot.links = self.links()?;
        }
        drop_neighbours_of_silent_links(&mut snapshot);
        if kinds.sysctls {
            snapshot.sysctls = sysctl::read(&snapshot.links)?;
        }
        if !kinds.links {
            snapshot.links.clear();
        }
        Ok(snapshot)
    }

    fn links(&mut self) -> Result<Vec<Link>, KernelError> {
        let take = |all: &mut Vec<Link>, payload: &[u8]| {
            all.push(wire::link::decode(payload)?);
            Ok(())
        };
        self.requests.dump(
            "links",
            wire::link::NEW,
            wire::link::list,
            take,
            Vec::new,
            Torn::Refused,
        )
    }

    fn addresses(&mut self, family: Family, torn: Torn) -> Result<Vec<Address>, KernelError> {
        let ask = |batch: &mut Batch, flags| wire::address::list(batch, flags, family);
        let take = |all: &mut Vec<_>, payload: &[u8]| {
            all.extend(wire::address::decode(payload)?.filter(|a| a.family == family));
            Ok(())
        };
        self.requests
            .dump("addresses", wire::address::NEW, ask, take, Vec::new, torn)
    }

    fn nexthops(&mut self, torn: Torn) -> Result<Vec<Nexthop>, KernelError> {
        let take = |all: &mut Vec<_>, payload: &[u8]| {
            all.push(wire::nexthop::decode(payload)?);
            Ok(())
        };
        let list = wire::nexthop::list;
        let found = self
            .requests
            .dump("nexthops", wire::nexthop::NEW, list, take, Vec::new, torn);
        none_if(found, libc::EOPNOTSUPP)
    }

    fn routes(&mut self, family: Family, torn: Torn) -> Result<Vec<Route>, KernelError> {
        let ask = |batch: &mut Batch, flags| wire::route::list(batch, flags, family);
        let take = |all: &mut Vec<_>, payload: &[u8]| {
            all.extend(wire::route::decode(payload)?.filter(|r| r.family == family));
            Ok(())
        };
        self.requests
            .dump("routes", wire::route::NEW, ask, take, Vec::new, torn)
    }

    fn rules(&mut self, family: Family, torn: Torn) -> Result<Vec<Rule>, KernelError> {
        let ask = |batch: &mut Batch, flags| wire::rule::list(batch, flags, family);
        let take = |all: &mut Vec<_>, payload: &[u8]| {
            all.extend(wire::rule::decode(payload)?.filter(|r| r.family == family));
            Ok(())
        };
        let found = self.requests.dump("rules", wire::rule::NEW, ask, take, Vec::new, torn);
        none_if(found, libc::EAFNOSUPPORT)
    }

    fn neighbours(&mut self, family: Family, torn: Torn) -> Result<Vec<Neighbour>, KernelError> {
        use wire::neighbour::{NEW, Table, decode, list};
        let mut found = Vec::new();
        for table in [Table::Cache, Table::Proxy] {
            let ask = |batch: &mut Batch, flags| list(batch, flags, family, table);
            let take = |all: &mut Vec<_>, payload: &[u8]| {
                all.extend(decode(payload)?.filter(|n| n.family == family));
                Ok(())
            };
            found.extend(self.requests.dump("neighbours", NEW, ask, take, Vec::new, torn)?);
        }
        Ok(found)
    }

    fn qdiscs(&mut self) -> Result<Vec<Qdisc>, KernelError> {
        let take = |all: &mut Vec<_>, payload: &[u8]| {
            all.push(wire::qdisc::decode(payload)?);
            Ok(())
        };
        let found = self.requests.dump(
            "qdiscs",
            wire::qdisc::NEW,
            wire::qdisc::list,
            take,
            Vec::new,
            Torn::Refused,
        );
        none_if(found, libc::EOPNOTSUPP)
    }

    /// The filters of every block, and of every side of a `clsact` or `ingress` that has no block.
    fn filters(&mut self, qdiscs: &[Qdisc]) -> Result<Vec<Filter>, KernelError> {
        let mut places = BTreeSet::new();
        for qdisc in qdiscs.iter().filter(|q| q.handle == Qdisc::CLSACT_HANDLE) {
            places.insert(qdisc.ingress_block.map_or(Attach::Ingress(qdisc.link), Attach::Block));
            if qdisc.kind == wire::qdisc::OUR_KIND {
                places.insert(qdisc.egress_block.map_or(Attach::Egress(qdisc.link), Attach::Block));
            }
        }
        let mut found = Vec::new();
        for attach in places {
            let ask = |batch: &mut Batch, flags| wire::filter::list(batch, flags, attach);
            let empty = || wire::filter::Gathering::new(attach);
            let take = wire::filter::Gathering::take;
            let gathered = self
                .requests
                .dump("filters", wire::filter::NEW, ask, take, empty, Torn::Refused);
            found.extend(none_if(
                gathered.map(wire::filter::Gathering::finish),
                libc::EOPNOTSUPP,
            )?);
        }
        Ok(found)
    }

    /// Sends what is in the batch and files the answers under their changes.
    fn flush(&mut self, pending: &mut Pending, changes: &[Change], results: &mut Results) -> Result<(), KernelError> {
        if pending.batch.len() == 0 {
            return Ok(());
        }
        let mut answers = self.requests.request(&mut pending.batch)?.into_iter();
        for &(index, messages) in &pending.owners {
            let verdict = verdict(&changes[index], answers.by_ref().take(messages));
            results[index] = Some(verdict);
        }
        *pending = Pending::default();
        Ok(())
    }

    /// Names for the texts of errors. They are no reason to fail: without them links are called by number.
    fn names(&mut self) -> Names {
        let links = self.links().unwrap_or_default();
        links.into_iter().map(|l| (l.index, l.name)).collect()
    }
}

/// On a link without address resolution every neighbour is NOARP, and the kernel made it.
fn drop_neighbours_of_silent_links(snapshot: &mut Snapshot) {
    let silent: BTreeSet<u32> = snapshot
        .links
        .iter()
        .filter(|l| !l.resolves_neighbours())
        .map(|l| l.index)
        .collect();
    snapshot
        .neighbours
        .retain(|n| n.state != wire::neighbour::STATE_NOARP || !silent.contains(&n.link));
}

/// What a change came to, the error still without its text.
type Results = Vec<Option<Result<Outcome, Rejection>>>;

/// Messages that wait for the next send, and whose they are: index of the change, number of messages.
#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    owners: Vec<(usize, usize)>,
}

impl Kernel for Netlink {
    fn snapshot(&mut self, kinds: Kinds) -> Result<Snapshot, KernelError> {
        self.steady_subscribed(Sight { kinds, still: kinds }, SNAPSHOT_ATTEMPTS)
    }

    fn glance(&mut self, kinds: Kinds, still: Kinds) -> Result<Snapshot, KernelError> {
        match self.steady_subscribed(Sight { kinds, still: kinds }, GLANCE_ATTEMPTS) {
            Err(KernelError::Unsteady { .. }) => {
                let snapshot = self.steady_subscribed(Sight { kinds, still }, SNAPSHOT_ATTEMPTS)?;
                Ok(Snapshot {
                    moving: true,
                    ..snapshot
                })
            }
            read => read,
        }
    }

    fn apply(&mut self, changes: &[Change]) -> Result<Vec<Result<Outcome, ChangeError>>, KernelError> {
        let mut results: Results = vec![None; changes.len()];
        let mut pending = Pending::default();
        for (index, change) in changes.iter().enumerate() {
            if let Change::SetSysctl(sysctl) | Change::Add(Object::Sysctl(sysctl)) = change {
                // A sysctl does not go through the socket: what stands before it goes first.
                self.flush(&mut pending, changes, &mut results)?;
                results[index] = Some(set_sysctl(sysctl));
                continue;
            }
            let before = pending.batch.len();
            match encode(&mut pending.batch, change) {
                Ok(()) => pending.owners.push((index, pending.batch.len() - before)),
                Err(Refusal(why)) => {
                    results[index] = Some(Err(Rejection {
                        errno: libc::EOPNOTSUPP,
                        message: Some(why.to_owned()),
                    }));
                }
            }
        }
        self.flush(&mut pending, changes, &mut results)?;
        let names = match results.iter().flatten().any(Result::is_err) {
            true => self.names(),
            false => Names::new(),
        };
        let worded = |(change, result): (&Change, Option<Result<Outcome, Rejection>>)| {
            // Every change got its result above, by sysctl, refusal or answer.
            result
                .expect("every change has a result")
                .map_err(|rejection| ChangeError {
                    attempted: attempted(change, &names),
                    errno: rejection.errno,
                    message: rejection.message,
                })
        };
        Ok(changes.iter().zip(results).map(worded).collect())
    }

    fn way(&mut self, query: &Query) -> Result<Way, KernelError> {
        let mut way = None;
        let ask = |batch: &mut Batch| wire::lookup::ask(batch, query);
        let take = |payload: &[u8]| {
            way = Some(wire::lookup::decode(payload)?);
            Ok(())
        };
        match self.requests.ask("the way of a packet", wire::route::NEW, ask, take)? {
            Ok(()) => Ok(way.unwrap_or(Way::Nowhere)),
            Err(rejection) if LEADS_NOWHERE.contains(&rejection.errno) => Ok(Way::Nowhere),
            Err(Rejection { errno, message }) => Err(KernelError::Dump {
                what: "the way of a packet",
                errno,
                message,
            }),
        }
    }

    fn watch(&mut self) -> Result<Box<dyn Watch>, KernelError> {
        let events = Events::open()?;
        events.subscribe(Kinds::ALL)?;
        Ok(Box::new(events))
    }
}

fn encode(batch: &mut Batch, change: &Change) -> Result<(), Refusal> {
    match change {
        Change::Add(Object::Link(o)) => wire::link::add(batch, o),
        Change::Add(Object::Address(o)) => wire::address::add(batch, o),
        Change::Add(Object::Nexthop(o)) => wire::nexthop::add(batch, o),
        Change::Add(Object::Route(o)) => wire::route::add(batch, o),
        Change::Add(Object::Rule(o)) => wire::rule::add(batch, o),
        Change::Add(Object::Neighbour(o)) => wire::neighbour::add(batch, o),
        Change::Add(Object::Qdisc(o)) => wire::qdisc::add(batch, o),
        Change::Add(Object::Filter(o)) => wire::filter::add(batch, o),
        Change::Delete(Object::Link(o)) => wire::link::delete(batch, o),
        Change::Delete(Object::Address(o)) => wire::address::delete(batch, o),
        Change::Delete(Object::Nexthop(o)) => wire::nexthop::delete(batch, o),
        Change::Delete(Object::Route(o)) => wire::route::delete(batch, o),
        Change::Delete(Object::Rule(o)) => wire::rule::delete(batch, o),
        Change::Delete(Object::Neighbour(o)) => wire::neighbour::delete(batch, o),
        Change::Delete(Object::Qdisc(o)) => wire::qdisc::delete(batch, o),
        Change::Delete(Object::Filter(o)) => wire::filter::delete(batch, o),
        Change::SetLink { index, setting, .. } => wire::link::set(batch, *index, *setting),
        Change::SetSysctl(_) | Change::Add(Object::Sysctl(_)) | Change::Delete(Object::Sysctl(_)) => {
            Err(Refusal("a sysctl can only be set"))
        }
    }
}

/// One outcome of one or several answers: the first real error, else "applied" if any message changed something.
fn verdict(change: &Change, answers: impl Iterator<Item = Answer>) -> Result<Outcome, Rejection> {
    let mut outcome = Outcome::AlreadySo;
    let mut error = None;
    for answer in answers {
        match answer {
            Ok(()) => outcome = Outcome::Applied,
            Err(rejection) if is_so_already(change, &rejection) => {}
            Err(rejection) => error = error.or(Some(rejection)),
        }
    }
    error.map_or(Ok(outcome), Err)
}

/// Whether the refusal says that the kernel is as the change wants it.
fn is_so_already(change: &Change, rejection: &Rejection) -> bool {
    match change {
        // The handle of a u32 row is taken: the row is there.
        Change::Add(Object::Filter(_)) => matches!(rejection.errno, libc::EEXIST | libc::ENOSPC),
        Change::Add(_) => rejection.errno == libc::EEXIST,
        Change::Delete(Object::Qdisc(_) | Object::Filter(_) | Object::Route(_)) => {
            is_gone(rejection.errno) || has_no_place(rejection)
        }
        Change::Delete(_) => is_gone(rejection.errno),
        Change::SetLink { .. } | Change::SetSysctl(_) => false,
    }
}

fn is_gone(errno: i32) -> bool {
    matches!(errno, libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENODEV)
}

/// Where what the object hangs on is itself gone, the kernel says EINVAL, and only the text tells: the qdisc or the
/// block of a filter (`net/sched/cls_api.c`, `sch_api.c`), the nexthop object of a route (`net/ipv4/nexthop.c`).
fn has_no_place(rejection: &Rejection) -> bool {
    const TEXTS: [&str; 6] = [
        "Parent Qdisc doesn't exists",
        "Block of given index was not found",
        "Failed to find qdisc with specified handle",
        "Invalid handle",
        "Cannot find specified qdisc on specified device",
        "Nexthop id does not exist",
    ];
    rejection.errno == libc::EINVAL && rejection.message.as_deref().is_some_and(|m| TEXTS.contains(&m))
}

fn set_sysctl(sysctl: &Sysctl) -> Result<Outcome, Rejection> {
    match sysctl::write(sysctl) {
        Ok(()) => Ok(Outcome::Applied),
        Err(error) => Err(Rejection {
            errno: error.raw_os_error().unwrap_or(libc::EIO),
            message: None,
        }),
    }
}

/// The kernel's explicit word that it knows no such objects at all: it was built without them.
fn none_if<T>(found: Result<Vec<T>, KernelError>, absent: i32) -> Result<Vec<T>, KernelError> {
    match found {
        Err(KernelError::Dump { errno, .. }) if errno == absent => Ok(Vec::new()),
        other => other,
    }
}

/// The first kind in which two readings differ.
fn first_difference(before: &Snapshot, after: &Snapshot, among: Kinds) -> Option<&'static str> {
    [
        ("links", among.links && before.links != after.links),
        ("addresses", among.addresses && before.addresses != after.addresses),
        ("nexthops", among.nexthops && before.nexthops != after.nexthops),
        ("routes", among.routes && before.routes != after.routes),
        ("rules", among.rules && before.rules != after.rules),
        ("neighbours", among.neighbours && before.neighbours != after.neighbours),
        ("qdiscs", among.traffic_control && before.qdiscs != after.qdiscs),
        ("filters", among.traffic_control && before.filters != after.filters),
        ("sysctls", among.sysctls && before.sysctls != after.sysctls),
    ]
    .into_iter()
    .find_map(|(kind, differs)| differs.then_some(kind))
}
