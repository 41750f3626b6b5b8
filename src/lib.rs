//! Portcullis: an emergency connectivity kill switch for Linux hosts and gateways.
//!
//! An authorised operator declares an emergency; the daemon cuts exactly the connectivity that a written policy names,
//! through rtnetlink, keeps the lifelines, ends by the deadline with nobody present, puts the kernel's network state
//! back exactly and proves it with an empty diff, and keeps a tamper-evident audit log.
//!
//! # The map
//!
//! | room | what it is | may import |
//! |---|---|---|
//! | [`model`] | nouns: names, objects, snapshot, policy, cut, plan, emergency, audit record | nothing of ours |
//! | [`planning`] | verbs, pure: policy and snapshot to plan; three-way restore; an independent check of any plan | `model` |
//! | [`kernel`] | the only door to netlink: trait, real implementation, model kernel with scripted faults | `model` |
//! | [`store`] | the only door to the disk: state directory, journal, audit file | `model` |
//! | [`authority`] | signed orders: people and their keys, the document, the signature; pure | `model` |
//! | [`api`] | what both binaries agree on: requests, answers, errors, method to right | `model` |
//! | [`report`] | pure: the records of an emergency to its report, and that to a page or text | `model`, and of `drill` what it found |
//! | [`daemon`] | effects: the controller, which owns the state; executor, server, monitor | all but `cli`, `drill`, `report` |
//! | [`drill`] | scratch namespaces, probes, the rehearsal | all but `cli`, `report` |
//! | [`cli`] | commands, client, rendering | `api`, `model`, `drill`, `report` |
//!
//! # Invariants
//!
//! - `model`, `planning`, `authority` and `report` read no clock, no file, no socket, and know neither tokio nor tracing.
//! - Netlink sockets are opened only in `kernel`, and in `drill` to build scratch links.
//! - Nothing in the kernel changes before the audit record and the journal are durable; a restore waits for neither.
//! - There is no network listener: the only socket is a Unix socket.
//!
//! `tests/architecture.rs` holds the import rule and names file and line where it is broken.

pub mod api;
pub mod authority;
pub mod cli;
pub mod daemon;
pub mod drill;
pub mod kernel;
pub mod model;
pub mod planning;
pub mod report;
pub mod store;
