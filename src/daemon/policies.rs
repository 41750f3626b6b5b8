//! The policies as loaded from their directory: all or nothing.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::rights::{self, Whom};
use super::trusted;
use crate::model::canonical::canonical_digest;
use crate::model::names::{Digest, PolicyName};
use crate::model::policy::{Hook, People, Policy};
use crate::model::policy_file::{self, PolicyErrors, SOURCE_MAX_BYTES};

/// More policies than anybody can choose from at 3 a.m.
const FILES_MAX: usize = 256;

/// One loaded policy.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Checked.
    pub policy: Policy,
    /// Digest of its canonical JSON.
    pub digest: Digest,
    /// The file's text.
    pub source: String,
    /// To whom it leaves what.
    pub who: Narrowed,
    /// The hooks that may declare it; none: none.
    pub sources: Option<Whom>,
}

/// To whom a policy leaves a right; none: to all who hold it.
#[derive(Clone, Debug, Default)]
pub struct Narrowed {
    /// Planning, declaring, confirming and extending.
    pub declare: Option<Whom>,
    /// Approving and rejecting.
    pub approve: Option<Whom>,
    /// Ending.
    pub revert: Option<Whom>,
}

impl Narrowed {
    fn of(policy: &Policy) -> Self {
        Self {
            declare: policy.who.declare.as_ref().map(Whom::known),
            approve: policy.who.approve.as_ref().map(Whom::known),
            revert: policy.who.revert.as_ref().map(Whom::known),
        }
    }
}

/// All policies, by name.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    by_name: BTreeMap<PolicyName, Loaded>,
}

/// Why the policies were not loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or the directory cannot be read.
    #[error("failed to read policies from {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Too long, or too many.
    #[error("{path}: more than {limit}")]
    TooMuch {
        /// Which.
        path: PathBuf,
        /// What there may be.
        limit: String,
    },
    /// A policy is not valid.
    #[error("{0}")]
    Invalid(PolicyErrors),
    /// Users that are one account are one source.
    #[error("{path}: the users of [hook] are {accounts} accounts here, and it asks for {wanted} sources")]
    TooFewSources {
        /// The file.
        path: PathBuf,
        /// How many there are.
        accounts: usize,
        /// How many it asks for.
        wanted: u8,
    },
    /// Two files name the same policy.
    #[error("policy {name} is in {path} and in another file")]
    Twice {
        /// The name.
        name: PolicyName,
        /// The second file.
        path: PathBuf,
    },
}

impl Policies {
    /// Loads every `*.toml` in a directory, but for hidden ones: editors keep locks and copies under such names.
    ///
    /// # Errors
    /// The directory, or the first file, that cannot be read, that others may have written, or that is not valid; then
    /// nothing is loaded.
    pub fn load(directory: &Path) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Read {
            path: directory.to_owned(),
            source,
        };
        trusted::open_directory(directory).map_err(failed)?;
        let mut files = std::fs::read_dir(directory)
            .map_err(failed)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        files.retain(|path| is_policy(path));
        files.sort();
        if files.len() > FILES_MAX {
            return Err(LoadError::TooMuch {
                path: directory.to_owned(),
                limit: format!("{FILES_MAX} policies"),
            });
        }
        files.iter().try_fold(Self::default(), |loaded, path| {
            let source = read(path)?;
            let knows = |what, name: &str| rights::number(what, name).is_ok();
            let policy = policy_file::parse_on_host(&path.display().to_string(), &source, &knows);
            let policy = policy.map_err(LoadError::Invalid)?;
            refuse_too_few_sources(path, &policy)?;
            loaded.and(path, policy, source)
        })
    }

    /// Just this source, under the file name given, for a drill: nobody else is there to approve, and nothing is cut.
    ///
    /// # Errors
    /// If one is not valid, or two have one name.
    pub fn from_source(file: &Path, source: String) -> Result<Self, LoadError> {
        let mut policies = Self::default().with(file, source)?;
        policies
            .by_name
            .values_mut()
            .for_each(|loaded| loaded.policy.approval = None);
        Ok(policies)
    }

    pub(super) fn with(self, path: &Path, source: String) -> Result<Self, LoadError> {
        let policy = policy_file::parse(&path.display().to_string(), &source).map_err(LoadError::Invalid)?;
        self.and(path, policy, source)
    }

    fn and(mut self, path: &Path, policy: Policy, source: String) -> Result<Self, LoadError> {
        let name = policy.name.clone();
        let loaded = Loaded {
            digest: canonical_digest(&policy),
            who: Narrowed::of(&policy),
            sources: policy.hook.as_ref().map(sources),
            policy,
            source,
        };
        if self.by_name.insert(name.clone(), loaded).is_some() {
            return Err(LoadError::Twice {
                name,
                path: path.to_owned(),
            });
        }
        Ok(self)
    }

    /// Those of these names.
    #[cfg(test)]
    pub(super) fn only(&self, names: &[String]) -> Self {
        let wanted = |name: &PolicyName| names.iter().any(|wanted| wanted == name.as_ref());
        let some = self.by_name.iter().filter(|(name, _)| wanted(name));
        let by_name = some.map(|(name, loaded)| (name.clone(), loaded.clone())).collect();
        Self { by_name }
    }

    /// The policy of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Loaded> {
        name.parse().ok().and_then(|name: PolicyName| self.by_name.get(&name))
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Loaded> {
        self.by_name.values()
    }
}

/// Of the users that a policy names those that this host knows.
fn sources(hook: &Hook) -> Whom {
    let users = hook.users.clone();
    Whom::known(&People {
        users,
        ..People::default()
    })
}

fn refuse_too_few_sources(path: &Path, policy: &Policy) -> Result<(), LoadError> {
    let Some(hook) = &policy.hook else { return Ok(()) };
    match sources(hook).accounts() {
        accounts if accounts < usize::from(hook.sources) => Err(LoadError::TooFewSources {
            path: path.to_owned(),
            accounts,
            wanted: hook.sources,
        }),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = trusted::open(path).map_err(failed)?;
    file.take(SOURCE_MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > SOURCE_MAX_BYTES {
        return Err(LoadError::TooMuch {
            path: path.to_owned(),
            limit: format!("{SOURCE_MAX_BYTES} bytes"),
        });
    }
    let text = String::from_utf8(bytes);
    text.map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error())))
}

fn is_policy(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|e| e == "toml")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_drill_asks_nobody_to_approve() {
        let source = include_str!("../../policies/isolate-host.toml").to_owned() + "\n[approval]\npeople = 2\n";
        let path = Path::new("x.toml");
        let asked = Policies::default().with(path, source.clone()).unwrap();
        let drilled = Policies::from_source(path, source).unwrap();
        let people = |policies: &Policies| {
            policies
                .iter()
                .map(|l| l.policy.approval.map(|a| a.people))
                .collect::<Vec<_>>()
        };
        assert_eq!((people(&asked), people(&drilled)), (vec![Some(2)], vec![None]));
    }

    #[test]
    fn hidden_files_among_the_policies_are_no_policies() {
        let folder = tempfile::tempdir().unwrap();
        let source = include_str!("../../policies/isolate-host.toml");
        let path = folder.path().join("x.toml");
        std::fs::write(&path, source).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(folder.path().join(".x.toml"), "rubbish").unwrap();
        std::os::unix::fs::symlink("me@host.1234:99", folder.path().join(".#x.toml")).unwrap();
        let names: Vec<String> = Policies::load(folder.path())
            .unwrap()
            .iter()
            .map(|l| l.policy.name.to_string())
            .collect();
        assert_eq!(names, ["isolate-host"]);
    }

    #[test]
    fn a_policy_or_a_directory_that_others_may_write_keeps_everything_from_being_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, include_str!("../../policies/isolate-host.toml")).unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        };
        for (file, directory, refused) in [
            (0o644, 0o755, None),
            (0o666, 0o755, Some(path.as_path())),
            (0o644, 0o777, Some(folder.path())),
        ] {
            mode(&path, file);
            mode(folder.path(), directory);
            match (Policies::load(folder.path()), refused) {
                (Ok(_), None) => {}
                (Err(LoadError::Read { path: named, source }), Some(refused)) => {
                    assert_eq!(
                        (named.as_path(), source.kind()),
                        (refused, io::ErrorKind::PermissionDenied)
                    );
                }
                (other, _) => panic!("{file:o} {directory:o}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_fifo_among_the_policies_is_an_error_and_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        match Policies::load(folder.path()) {
            Err(LoadError::Read { path: named, source }) => {
                assert_eq!(named, path);
                assert_eq!(source.kind(), io::ErrorKind::InvalidInput);
            }
            other => panic!("{other:?}"),
        }
    }
}
