//! Who may sign orders: people by name, their keys, what they may order, and when.
//!
//! A TOML file of the host's owner. A key is exactly one key: no patterns, no certificates, no key for two people, since
//! two keys are not yet two people and one key is never two.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use serde::Deserialize;
use ssh_key::public::KeyData;
use toml::Spanned;
use toml::value::Datetime;

use super::Refusal;
use super::key::{Demand, Key};
use crate::model::place::line_and_column;

/// The longest file, in bytes.
pub const FILE_MAX_BYTES: usize = 256 * 1024;
/// More people than one host takes orders from.
const PEOPLE_MAX: usize = 256;
/// More keys than one person carries.
const KEYS_MAX: usize = 16;
/// Characters of a name.
const NAME_MAX_CHARS: usize = 64;

/// What somebody may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Declaring.
    Declare,
    /// Approving what others declared.
    Approve,
    /// Ending.
    Revert,
}

impl Role {
    /// The role as it is written everywhere.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Declare => "declare",
            Self::Approve => "approve",
            Self::Revert => "revert",
        }
    }
}

/// From when and until when; without an end where none is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A key of somebody.
#[derive(Clone, Debug)]
pub struct Held {
    /// The key.
    pub key: Key,
    /// What a security key must say.
    pub demand: Demand,
    validity: Validity,
}

/// Somebody who may sign orders.
#[derive(Clone, Debug)]
pub struct Person {
    /// By this name the log knows them.
    pub name: String,
    /// Their account on this host, where they have one: by it they are known for the same person at the socket.
    pub user: Option<String>,
    /// What they may order.
    pub roles: Vec<Role>,
    validity: Validity,
    keys: Vec<Held>,
}

/// Everybody who may.
#[derive(Clone, Debug, Default)]
pub struct People(Vec<Person>);

/// A person with the key that they used.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'p> {
    /// Who.
    pub person: &'p Person,
    /// With which of their keys.
    pub key: &'p Held,
}

impl Signer<'_> {
    /// Whether they may order this now.
    ///
    /// # Errors
    /// If they may not, or not yet, or no longer.
    pub fn check(&self, role: Role, now: Timestamp) -> Result<(), Refusal> {
        self.person
            .validity
            .check(now, Refusal::PersonNotYet, Refusal::PersonExpired)?;
        self.key.validity.check(now, Refusal::KeyNotYet, Refusal::KeyExpired)?;
        let may = self.person.roles.contains(&role);
        may.then_some(()).ok_or(Refusal::NoRole)
    }
}

impl Validity {
    fn check(&self, now: Timestamp, not_yet: Refusal, over: Refusal) -> Result<(), Refusal> {
        if self.from.is_some_and(|from| now < from) {
            return Err(not_yet);
        }
        if self.until.is_some_and(|until| now >= until) {
            return Err(over);
        }
        Ok(())
    }
}

impl People {
    /// All, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Person> {
        self.0.iter()
    }

    /// Whose key this is.
    #[must_use]
    pub fn owner(&self, data: &KeyData) -> Option<Signer<'_>> {
        let held = self
            .0
            .iter()
            .flat_map(|person| person.keys.iter().map(move |key| (person, key)));
        let mut found = held.filter(|(_, held)| held.key.is(data));
        found.next().map(|(person, key)| Signer { person, key })
    }

    /// Reads the file's text; `file` is for messages only.
    ///
    /// # Errors
    /// Every problem at once, with line and column; of the form of the file only the first.
    pub fn read(file: &str, text: &str) -> Result<Self, PeopleErrors> {
        let errors = |lines| PeopleErrors {
            file: file.to_owned(),
            lines,
        };
        if text.len() > FILE_MAX_BYTES {
            return Err(errors(vec![format!("the file has more than {FILE_MAX_BYTES} bytes")]));
        }
        let written: Written = toml::from_str(text).map_err(|error| errors(vec![error.to_string()]))?;
        let mut reader = Reader {
            text,
            lines: Vec::new(),
            seen: BTreeMap::new(),
        };
        let people = reader.people(&written);
        if reader.lines.is_empty() {
            Ok(Self(people))
        } else {
            Err(errors(reader.lines))
        }
    }
}

/// What is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PeopleErrors {
    file: String,
    lines: Vec<String>,
}

impl fmt::Display for PeopleErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not valid:\n{}", self.file, self.lines.join("\n"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    schema: Spanned<u32>,
    #[serde(default)]
    people: Vec<Spanned<WrittenPerson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenPerson {
    name: Spanned<String>,
    user: Option<Spanned<String>>,
    roles: Spanned<Vec<Role>>,
    valid_from: Option<Spanned<Datetime>>,
    valid_until: Option<Spanned<Datetime>>,
    keys: Spanned<Vec<WrittenKey>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WrittenKey {
    key: Spanned<String>,
    valid_from: Option<Spanned<Datetime>>,
    valid_until: Option<Spanned<Datetime>>,
    pin: Option<Spanned<bool>>,
}

/// What must be there once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Once {
    Name,
    User,
    Key,
}

/// Makes people of what was written, and notes what is wrong.
struct Reader<'t> {
    text: &'t str,
    lines: Vec<String>,
    seen: BTreeMap<(Once, String), String>,
}

impl Reader<'_> {
    fn people(&mut self, written: &Written) -> Vec<Person> {
        if *written.schema.get_ref() != 1 {
            self.wrong(&written.schema.span(), "this version knows schema 1 alone");
        }
        if written.people.len() > PEOPLE_MAX {
            self.wrong(
                &written.people[PEOPLE_MAX].span(),
                &format!("more than {PEOPLE_MAX} people"),
            );
        }
        written
            .people
            .iter()
            .filter_map(|person| self.person(person.get_ref()))
            .collect()
    }

    fn person(&mut self, written: &WrittenPerson) -> Option<Person> {
        let name = written.name.get_ref();
        let called = |c: char| c.is_alphanumeric() || "-_.@+' ".contains(c);
        let length = name.chars().count();
        if name.trim() != name || length == 0 || length > NAME_MAX_CHARS || !name.chars().all(called) {
            let why = format!("a name has 1 to {NAME_MAX_CHARS} letters, digits, blanks and -_.@+', and is no pattern");
            self.wrong(&written.name.span(), &why);
        }
        self.once(Once::Name, name, &written.name.span(), name);
        if let Some(user) = &written.user {
            self.once(Once::User, user.get_ref(), &user.span(), name);
        }
        if written.roles.get_ref().is_empty() {
            self.wrong(
                &written.roles.span(),
                "who may order nothing is left out: name `declare`, `approve` or `revert`",
            );
        }
        let keys = written.keys.get_ref();
        if keys.is_empty() || keys.len() > KEYS_MAX {
            self.wrong(&written.keys.span(), &format!("a person has 1 to {KEYS_MAX} keys"));
        }
        let validity = self.validity(written.valid_from.as_ref(), written.valid_until.as_ref());
        let held: Vec<Held> = keys.iter().filter_map(|key| self.held(name, key)).collect();
        Some(Person {
            name: name.clone(),
            user: written.user.as_ref().map(|user| user.get_ref().clone()),
            roles: written.roles.get_ref().clone(),
            validity: validity?,
            keys: held,
        })
    }

    fn held(&mut self, person: &str, written: &WrittenKey) -> Option<Held> {
        let span = written.key.span();
        let validity = self.validity(written.valid_from.as_ref(), written.valid_until.as_ref());
        let key = match Key::from_line(written.key.get_ref()) {
            Ok(key) => key,
            Err(why) => {
                self.wrong(&span, &format!("not a key that can sign orders: {why}"));
                return None;
            }
        };
        self.once(Once::Key, &key.fingerprint(), &span, person);
        let demand = match &written.pin {
            Some(pin) if !key.is_security_key() => {
                self.wrong(
                    &pin.span(),
                    "`pin` is for security keys (sk-): no other key says whether one was given",
                );
                Demand::Touch
            }
            Some(pin) if *pin.get_ref() => Demand::Verification,
            Some(_) | None => Demand::Touch,
        };
        Some(Held {
            key,
            demand,
            validity: validity?,
        })
    }

    fn validity(&mut self, from: Option<&Spanned<Datetime>>, until: Option<&Spanned<Datetime>>) -> Option<Validity> {
        let mut time = |written: Option<&Spanned<Datetime>>| match written {
            None => Some(None),
            Some(written) => match written.get_ref().to_string().parse::<Timestamp>() {
                Ok(time) => Some(Some(time)),
                // A local time is another moment in another zone.
                Err(_) => {
                    self.wrong(
                        &written.span(),
                        "a moment needs date, time and zone, such as 2027-01-01T00:00:00Z",
                    );
                    None
                }
            },
        };
        let (from_time, until_time) = (time(from)?, time(until)?);
        if let (Some(begin), Some(end), Some(written)) = (from_time, until_time, until)
            && end <= begin
        {
            self.wrong(&written.span(), "it ends before it begins");
        }
        Some(Validity {
            from: from_time,
            until: until_time,
        })
    }

    fn once(&mut self, what: Once, value: &str, span: &Range<usize>, person: &str) {
        let Some(before) = self.seen.insert((what, value.to_owned()), person.to_owned()) else {
            return;
        };
        self.wrong(
            span,
            &match what {
                Once::Name => format!("{value} is in the file already"),
                Once::User => format!("the user {value} is {before} already: two people do not share an account"),
                Once::Key => format!("this key is {before}'s already: one key is one person's"),
            },
        );
    }

    fn wrong(&mut self, span: &Range<usize>, why: &str) {
        let (line, column) = line_and_column(self.text, span.start);
        self.lines.push(format!("line {line}, column {column}: {why}"));
    }
}
