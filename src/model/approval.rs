//! A declaration that waits for other people.
//!
//! ```text
//!          Approve (the last one needed)
//! Waiting ───────────────────────────────▶ Agreed: the cut may begin, if its plan is still the same
//!  │ │ ▲
//!  │ │ └── Approve (more are needed)
//!  │ └──── Reject ▶ Rejected
//!  └────── Expire ▶ Expired
//! ```
//!
//! It holds nothing and never cuts by itself. People approve the plan that was shown, by its digest; never who declared,
//! and never one person twice: two people share neither their uid nor the uid with which they logged in. Pure: it is told
//! the time.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::emergency::{Deadline, Declaration, Moment};
use super::names::{Digest, EmergencyId, PolicyName};

/// Somebody, as far as a host can tell people apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// As the audit log names them.
    pub name: String,
    /// The effective uid with which they asked; of who signed, that of their account here, if they have one.
    pub uid: Option<u32>,
    /// The uid with which they logged in, where the kernel keeps it.
    pub login_uid: Option<u32>,
    /// Of who signed an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// Who signed an order, with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Their name in the file of people.
    pub person: String,
    /// The key.
    pub key: String,
}

impl Person {
    /// Whether the two may be one person: who became root to declare, or to approve, is still who logged in; one name and
    /// one key are one person; and whoever signed and has no account here may be anybody at the socket.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let ids = |person: &Self| -> BTreeSet<u32> { person.uid.into_iter().chain(person.login_uid).collect() };
        let (mine, theirs) = (ids(self), ids(other));
        let same_account = !mine.is_disjoint(&theirs);
        match (&self.signed, &other.signed) {
            (Some(mine), Some(theirs)) => same_account || mine.person == theirs.person || mine.key == theirs.key,
            (Some(_), None) | (None, Some(_)) | (None, None) => same_account || mine.is_empty() || theirs.is_empty(),
        }
    }
}

/// Where a proposed declaration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// More people must approve.
    Waiting,
    /// Enough people approved.
    Agreed,
    /// Somebody rejected it.
    Rejected,
    /// Nobody decided in time.
    Expired,
}

/// What happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Somebody approves.
    Approve(Person),
    /// Somebody rejects, or who declared takes it back.
    Reject,
    /// Its time is over.
    Expire,
}

/// Why an act was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is decided, or its time is over.
    #[error("the proposal no longer waits for anybody")]
    Over,
    /// Who declared cannot approve.
    #[error("{by} may be who declared it ({declarer}): another person must approve")]
    Declarer {
        /// Who tried.
        by: String,
        /// Who declared.
        declarer: String,
    },
    /// One person counts once.
    #[error("{by} may be {before}, who approved already: another person must approve")]
    Twice {
        /// Who tried.
        by: String,
        /// Who approved.
        before: String,
    },
}

/// A declaration that waits for other people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// The name of the emergency that it may become.
    pub id: EmergencyId,
    /// The policy.
    pub policy: PolicyName,
    /// Its digest: of another policy nobody has approved anything.
    pub policy_digest: Digest,
    /// The plan that was shown, and that people approve.
    pub plan_digest: Digest,
    /// What was stated.
    pub declaration: Declaration,
    /// Who declared.
    pub declarer: Person,
    /// How long the emergency is to last, in milliseconds, from the cut on.
    pub duration_ms: u64,
    /// Whether, and within what, it must be confirmed, in milliseconds.
    pub confirm_within_ms: Option<u64>,
    /// How many people must approve.
    pub needed: u8,
    /// Who did.
    pub approvals: Vec<Person>,
    /// When it is over without a decision.
    pub expires: Deadline,
    /// Where it stands.
    pub standing: Standing,
}

impl Proposed {
    /// Takes an act.
    ///
    /// # Errors
    /// If the standing or the person does not allow it; then nothing has changed.
    pub fn on(&mut self, act: Act, now: &Moment) -> Result<(), Refusal> {
        match (self.standing, act) {
            (Standing::Waiting, Act::Approve(_)) if self.is_over(now) => Err(Refusal::Over),
            (Standing::Waiting, Act::Approve(by)) => self.approve(by),
            (Standing::Waiting, Act::Reject) => {
                self.standing = Standing::Rejected;
                Ok(())
            }
            (Standing::Waiting, Act::Expire) => {
                self.standing = Standing::Expired;
                Ok(())
            }
            (
                Standing::Agreed | Standing::Rejected | Standing::Expired,
                Act::Approve(_) | Act::Reject | Act::Expire,
            ) => Err(Refusal::Over),
        }
    }

    fn approve(&mut self, by: Person) -> Result<(), Refusal> {
        if by.may_be(&self.declarer) {
            return Err(Refusal::Declarer {
                by: by.name,
                declarer: self.declarer.name.clone(),
            });
        }
        if let Some(before) = self.approvals.iter().find(|before| by.may_be(before)) {
            return Err(Refusal::Twice {
                before: before.name.clone(),
                by: by.name,
            });
        }
        self.approvals.push(by);
        if self.approvals.len() >= usize::from(self.needed) {
            self.standing = Standing::Agreed;
        }
        Ok(())
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: &Moment) -> bool {
        self.expires.remaining_ms(now) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::model::emergency::tests::moment;
    use crate::model::policy::Occasion;

    fn person(uid: u32, login_uid: Option<u32>) -> Person {
        Person {
            name: format!("uid {uid}"),
            uid: Some(uid),
            login_uid,
            signed: None,
        }
    }

    fn signer(person: &str, key: &str, uid: Option<u32>) -> Person {
        Person {
            name: person.to_owned(),
            uid,
            login_uid: None,
            signed: Some(Signed {
                person: person.to_owned(),
                key: key.to_owned(),
            }),
        }
    }

    fn proposed(needed: u8, declarer: Person, standing: Standing) -> Proposed {
        Proposed {
            id: EmergencyId::new(Uuid::nil()),
            policy: "isolate-host".parse().unwrap(),
            policy_digest: Digest::zero(),
            plan_digest: Digest::zero(),
            declaration: Declaration {
                occasion: Occasion::Exercise,
                reason: "a table test".to_owned(),
                authority: "none".to_owned(),
                declared_by: declarer.name.clone(),
                approved_by: Vec::new(),
                break_glass: false,
                raised_by: Vec::new(),
            },
            declarer,
            duration_ms: 10_000,
            confirm_within_ms: None,
            needed,
            approvals: Vec::new(),
            expires: Deadline::after(moment(1_000), 900_000),
            standing,
        }
    }

    #[test]
    fn every_pair_of_standing_and_act_is_as_the_table_says() {
        use Standing::{Agreed, Expired, Rejected, Waiting};
        let acts = [Act::Approve(person(2, None)), Act::Reject, Act::Expire];
        let table = [
            (Waiting, [Some(Agreed), Some(Rejected), Some(Expired)]),
            (Agreed, [None; 3]),
            (Rejected, [None; 3]),
            (Expired, [None; 3]),
        ];
        for (standing, row) in table {
            for (act, wanted) in acts.iter().zip(row) {
                let before = proposed(1, person(1, None), standing);
                let mut after = before.clone();
                let done = after.on(act.clone(), &moment(2_000));
                assert_eq!(done.is_ok().then_some(after.standing), wanted, "{standing:?} {act:?}");
                assert!(done.is_ok() || after == before, "a refused act changes nothing");
            }
        }
    }

    #[test]
    fn who_became_somebody_else_is_still_one_person() {
        let declarer = person(0, Some(1000));
        for (by, wanted) in [
            (person(0, Some(1000)), true),
            (person(1000, Some(1000)), true),
            (person(1000, None), true),
            (person(0, Some(1001)), true),
            (person(1001, Some(1000)), true),
            (person(1001, Some(1001)), false),
            (person(1001, None), false),
        ] {
            assert_eq!(by.may_be(&declarer), wanted, "{by:?}");
            assert_eq!(declarer.may_be(&by), wanted, "{by:?}");
        }
    }

    #[test]
    fn who_signs_is_told_from_others_by_name_key_and_account_and_without_an_account_from_nobody_at_the_socket() {
        let alice = signer("alice", "k1", Some(1000));
        for (other, wanted) in [
            (signer("alice", "k2", Some(1000)), true),
            (signer("alice", "k2", None), true),
            (signer("bob", "k1", Some(1001)), true),
            (signer("bob", "k2", Some(1000)), true),
            (signer("bob", "k2", Some(1001)), false),
            (signer("bob", "k2", None), false),
            (person(1000, None), true),
            (person(0, Some(1000)), true),
            (person(1001, None), false),
        ] {
            assert_eq!(alice.may_be(&other), wanted, "{other:?}");
            assert_eq!(other.may_be(&alice), wanted, "{other:?}");
        }
        let nowhere = signer("carol", "k3", None);
        assert!(nowhere.may_be(&person(1001, None)) && person(0, Some(0)).may_be(&nowhere));
        assert!(!nowhere.may_be(&signer("dave", "k4", None)));
    }

    #[test]
    fn nobody_approves_what_is_over() {
        let mut late = proposed(1, person(1, None), Standing::Waiting);
        assert_eq!(
            late.on(Act::Approve(person(2, None)), &moment(901_000)),
            Err(Refusal::Over)
        );
        late.on(Act::Approve(person(2, None)), &moment(900_999)).unwrap();
    }

    proptest! {
        #[test]
        fn what_is_agreed_was_approved_by_enough_people_none_of_them_another_or_who_declared(
            needed in 1_u8..=2,
            people in prop::collection::vec((0_u32..4, prop::option::of(0_u32..4)), 1..12),
        ) {
            let mut people = people.into_iter().map(|(uid, login)| person(uid, login));
            let mut it = proposed(needed, people.next().expect("one at least"), Standing::Waiting);
            for by in people {
                let before = it.clone();
                if it.on(Act::Approve(by), &moment(2_000)).is_err() {
                    prop_assert_eq!(&it, &before);
                }
            }
            let all: Vec<&Person> = std::iter::once(&it.declarer).chain(&it.approvals).collect();
            for (at, one) in all.iter().enumerate() {
                prop_assert!(all[at + 1..].iter().all(|other| !one.may_be(other)));
            }
            prop_assert_eq!(it.standing == Standing::Agreed, it.approvals.len() == usize::from(needed));
            prop_assert!(it.approvals.len() <= usize::from(needed));
        }
    }
}
