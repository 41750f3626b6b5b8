//! The file of people who may sign orders, as the daemon reads it: once, when it starts.
//!
//! Whoever can write it can cut this host, so it must be a plain file of root's, or of the user whom the daemon runs as,
//! that nobody else can write or replace.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::{User, getgrouplist};

use super::trusted::distrust;
use crate::authority::people::{FILE_MAX_BYTES, People, PeopleErrors};
use crate::model::record::Account;

/// S_IWOTH.
const WRITE_BY_ALL: u32 = 0o002;
/// S_ISVTX: in a sticky directory only its owner replaces an entry.
const STICKY: u32 = 0o1000;

/// The people, and the accounts here of those who have one.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Everybody.
    pub people: People,
    accounts: BTreeMap<String, Account>,
}

/// Why nobody is known.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// The file cannot be read.
    #[error("failed to read the people from {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error("the people are not read from {path}: {why}")]
    Untrusted {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// What it says is not valid.
    #[error(transparent)]
    Invalid(PeopleErrors),
    /// An account that this host does not have.
    #[error("{path}: the user {user} of {person} is not on this host")]
    NoAccount {
        /// Which file.
        path: PathBuf,
        /// Whose.
        person: String,
        /// The name.
        user: String,
    },
}

impl Known {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, could be somebody else's word, or is not valid.
    pub fn load(path: &Path) -> Result<Self, PeopleError> {
        let text = read(path)?;
        let people = People::read(&path.display().to_string(), &text).map_err(PeopleError::Invalid)?;
        let mut accounts = BTreeMap::new();
        for person in people.iter() {
            let Some(user) = &person.user else { continue };
            let account = account(user).ok_or_else(|| PeopleError::NoAccount {
                path: path.to_owned(),
                person: person.name.clone(),
                user: user.clone(),
            })?;
            accounts.insert(person.name.clone(), account);
        }
        Ok(Self { people, accounts })
    }

    /// The account of a person.
    #[must_use]
    pub fn account(&self, person: &str) -> Option<&Account> {
        self.accounts.get(person)
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.people.iter().next().is_none()
    }
}

/// An account as it is now, without asking again later: names may come over the very network that is to be cut.
fn account(user: &str) -> Option<Account> {
    let entry = User::from_name(user).ok().flatten()?;
    let groups = getgrouplist(&CString::new(user).ok()?, entry.gid).ok()?;
    Some(Account {
        gid: entry.gid.as_raw(),
        groups: groups.into_iter().map(nix::unistd::Gid::as_raw).collect(),
        uid: entry.uid.as_raw(),
        user: user.to_owned(),
    })
}

fn read(path: &Path) -> Result<String, PeopleError> {
    let failed = |source| PeopleError::Read {
        path: path.to_owned(),
        source,
    };
    let untrusted = |why: &str| PeopleError::Untrusted {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    // A link could be turned to another file, a FIFO would be waited for.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|error| {
        if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) {
            untrusted("it is a symbolic link")
        } else {
            failed(error)
        }
    })?;
    let seen = file.metadata().map_err(failed)?;
    if !seen.is_file() {
        return Err(untrusted("it is not a regular file"));
    }
    if let Some(why) = distrust(&seen) {
        return Err(untrusted(&why.to_string()));
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let around = fs::metadata(parent).map_err(failed)?;
    if around.mode() & WRITE_BY_ALL != 0 && around.mode() & STICKY == 0 {
        return Err(untrusted("everybody may replace it: its directory is open to all"));
    }
    let mut text = String::new();
    let limit = FILE_MAX_BYTES as u64 + 1;
    file.take(limit).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::authority::tests::forge::{Kind, Pen};

    fn text(user: &str) -> String {
        let key = Pen::new(Kind::Ed25519, 1).line();
        format!(
            "schema = 1\n[[people]]\nname = \"a\"\nuser = \"{user}\"\nroles = [\"revert\"]\nkeys = [{{ key = \"{key}\" }}]\n"
        )
    }

    fn untrusted(path: &Path) -> String {
        match Known::load(path) {
            Err(PeopleError::Untrusted { why, .. }) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_file_is_taken_only_from_where_nobody_else_could_have_put_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.toml");
        fs::write(&path, text("root")).unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        mode(&path, 0o644);
        let known = Known::load(&path).unwrap();
        assert_eq!(known.account("a").map(|account| account.uid), Some(0));
        assert_eq!(known.account("b"), None);

        for open in [0o664, 0o646] {
            mode(&path, open);
            assert!(untrusted(&path).contains("may write it"), "{open:o}");
        }
        mode(&path, 0o600);
        mode(folder.path(), 0o777);
        assert!(untrusted(&path).contains("open to all"));
        mode(folder.path(), 0o1777);
        Known::load(&path).unwrap();

        let link = folder.path().join("link.toml");
        symlink(&path, &link).unwrap();
        assert!(untrusted(&link).contains("symbolic link"));
        let fifo = folder.path().join("fifo.toml");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(untrusted(&fifo).contains("not a regular file"));
    }

    #[test]
    fn an_account_that_is_not_here_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.toml");
        fs::write(&path, text("no-such-user")).unwrap();
        let error = Known::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("the user no-such-user of a is not on this host"),
            "{error}"
        );
    }
}
