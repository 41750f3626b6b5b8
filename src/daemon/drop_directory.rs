//! A directory into which signed orders may be laid, for whoever has a file and no client: a script, a copy from a stick.
//!
//! It is looked into once a second. `NAME.order` is taken when it is whole: with its signature behind it in the same file,
//! or in `NAME.order.sig`. It is handed in like any other and moved to `done` or `refused`, with the answer in
//! `NAME.order.answer` beside it. What cannot be moved is not handed in again while the daemon runs; what an order may do,
//! its signature alone says.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use tracing::{info, warn};

use super::command::{Command, ControllerHandle, Peer};
use super::trusted::distrust;
use crate::api::error::{ApiError, Code};
use crate::api::order::{OrderView, SignedOrder};
use crate::authority::order::ORDER_MAX_BYTES;
use crate::authority::signature::SIGNATURE_MAX_BYTES;
use crate::model::names::Digest;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Orders that are taken at one look.
const TAKEN_MAX: usize = 16;
/// Orders that could not be moved and are remembered; with more nothing is taken until a restart.
const STUCK_MAX: usize = 256;
/// Longer than any order with its signature.
const FILE_MAX_BYTES: usize = ORDER_MAX_BYTES + SIGNATURE_MAX_BYTES;
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----\n";

/// The directory.
#[derive(Debug)]
pub struct DropDirectory {
    path: PathBuf,
    /// What was handed in and could not be moved.
    stuck: BTreeSet<(OsString, Digest)>,
}

/// The directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("no orders are taken from {path}")]
pub struct DropError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl DropDirectory {
    /// Makes sure that only root can lay orders there; changes nothing.
    ///
    /// # Errors
    /// If it is no directory, or somebody else may write it.
    pub fn at(path: &Path) -> Result<Self, DropError> {
        let failed = |source| DropError {
            path: path.to_owned(),
            source,
        };
        let seen = fs::symlink_metadata(path).map_err(failed)?;
        if !seen.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        match distrust(&seen) {
            Some(why) => Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, why))),
            None => Ok(Self {
                path: path.to_owned(),
                stuck: BTreeSet::new(),
            }),
        }
    }

    /// Looks into it until the daemon ends.
    pub async fn watch(mut self, controller: ControllerHandle) {
        info!(directory = %self.path.display(), "taking orders from a directory");
        loop {
            self.look(&controller).await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&mut self, controller: &ControllerHandle) {
        for name in self.names().into_iter().take(TAKEN_MAX) {
            let Some(signed) = self.whole(&name) else { continue };
            let key = (name, Digest::of(signed.order.as_bytes()));
            if self.stuck.contains(&key) || self.stuck.len() >= STUCK_MAX {
                continue;
            }
            let answer = hand_in(controller, signed).await;
            if answer.as_ref().is_err_and(|error| error.code == Code::ShuttingDown) {
                return;
            }
            if let Err(error) = self.put_away(&key.0, &answer) {
                warn!(order = ?key.0, %error, "an order was handed in and cannot be moved, leaving it");
                self.stuck.insert(key);
            }
        }
    }

    /// Whatever is called like an order, by name.
    fn names(&self) -> Vec<OsString> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) => {
                warn!(directory = %self.path.display(), %error, "the directory of orders cannot be read");
                return Vec::new();
            }
        };
        // One that cannot be read now is there at the next look.
        let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.retain(|name| Path::new(name).extension() == Some(OsStr::new("order")));
        names.sort();
        names
    }

    /// An order with the whole of its signature; what is only half written is looked at again.
    fn whole(&self, name: &OsStr) -> Option<SignedOrder> {
        let text = read(&self.path.join(name)).ok()?;
        let (order, signature) = match text.find(BEGIN) {
            Some(at) => (text[..at].to_owned(), text[at..].to_owned()),
            None => (text, read(&self.path.join(beside(name, ".sig"))).ok()?),
        };
        signature.ends_with(END).then_some(SignedOrder { order, signature })
    }

    fn put_away(&self, name: &OsStr, answer: &Result<OrderView, ApiError>) -> io::Result<()> {
        let (folder, text) = match answer {
            Ok(view) => ("done", serde_json::to_string_pretty(view)),
            Err(error) => ("refused", serde_json::to_string_pretty(error)),
        };
        let folder = self.path.join(folder);
        fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
        fs::write(folder.join(beside(name, ".answer")), text? + "\n")?;
        let signature = beside(name, ".sig");
        if self.path.join(&signature).exists() {
            fs::rename(self.path.join(&signature), folder.join(&signature))?;
        }
        fs::rename(self.path.join(name), folder.join(name))
    }
}

fn beside(name: &OsStr, suffix: &str) -> OsString {
    let mut beside = name.to_owned();
    beside.push(suffix);
    beside
}

/// The daemon itself brings it; a refusal is recorded as one of the server's.
async fn hand_in(controller: &ControllerHandle, signed: SignedOrder) -> Result<OrderView, ApiError> {
    let taken = controller.ask(Peer::own(), |reply| Command::Order(signed, reply)).await;
    taken
        .inspect_err(|error| {
            if !controller.record_refusal(Peer::own(), error.clone()) {
                warn!(%error, "an order was refused, which is not recorded");
            }
        })
        .and_then(|answer| answer)
}

/// A link is not followed, a FIFO not waited for.
fn read(path: &Path) -> io::Result<String> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let not_an_order = |why| io::Error::new(io::ErrorKind::InvalidInput, why);
    if !file.metadata()?.is_file() {
        return Err(not_an_order("it is not a regular file"));
    }
    let mut text = String::new();
    file.take(FILE_MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > FILE_MAX_BYTES {
        return Err(not_an_order("it is longer than any order"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::api::samples;
    use crate::daemon::command::Call;

    const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n";

    type Heard = Arc<Mutex<Vec<String>>>;

    /// Takes every order but one that says `no`.
    fn controller() -> (ControllerHandle, Heard) {
        let (handle, mut calls) = ControllerHandle::channel();
        let heard = Heard::default();
        let log = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Some(Call { command, .. }) = calls.recv().await {
                let line = if let Command::Order(signed, reply) = command {
                    let refused = signed.order.contains("no");
                    let error = ApiError::new(Code::OrderRefused, "no", "have a new one signed");
                    let answer = if refused { Err(error) } else { Ok(Ok(samples::order())) };
                    reply.send(answer).unwrap();
                    signed.order
                } else if let Command::Refused(error) = command {
                    format!("refused {}", error.detail)
                } else {
                    panic!("nothing else is asked: {command:?}")
                };
                log.lock().unwrap().push(line);
            }
        });
        (handle, heard)
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    #[tokio::test]
    async fn a_whole_order_is_handed_in_once_and_put_away_with_its_answer() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let (controller, heard) = controller();
        let mut directory = DropDirectory::at(folder.path()).unwrap();
        fs::write(at("one.order"), format!("1\n{SIGNATURE}")).unwrap();
        fs::write(at("two.order"), "2\n").unwrap();
        fs::write(at("two.order.sig"), SIGNATURE).unwrap();
        fs::write(at("three.order"), format!("no\n{SIGNATURE}")).unwrap();
        // Not whole, or not an order.
        fs::write(at("half.order"), format!("4\n{}", &SIGNATURE[..40])).unwrap();
        fs::write(at("bare.order"), "5\n").unwrap();
        fs::write(at("note.txt"), format!("6\n{SIGNATURE}")).unwrap();
        fs::write(at("long.order"), "x".repeat(FILE_MAX_BYTES + 1)).unwrap();
        symlink(at("note.txt"), at("link.order")).unwrap();
        nix::unistd::mkfifo(&at("fifo.order"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        directory.look(&controller).await;
        directory.look(&controller).await;
        controller
            .ask(Peer::own(), |reply| {
                Command::Order(
                    SignedOrder {
                        order: "end".to_owned(),
                        signature: String::new(),
                    },
                    reply,
                )
            })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(*heard.lock().unwrap(), ["1\n", "no\n", "refused no", "2\n", "end"]);
        for put_away in [
            "done/one.order",
            "done/one.order.answer",
            "done/two.order",
            "done/two.order.sig",
            "refused/three.order",
        ] {
            assert!(at(put_away).exists(), "{put_away}");
        }
        let why = fs::read_to_string(at("refused/three.order.answer")).unwrap();
        assert!(why.contains("\"order-refused\""), "{why}");
        fs::write(at("half.order"), format!("4\n{SIGNATURE}")).unwrap();
        directory.look(&controller).await;
        assert!(at("done/half.order").exists(), "it is whole by now");
    }

    #[tokio::test]
    async fn an_order_that_cannot_be_moved_is_not_handed_in_again() {
        let folder = folder();
        let (controller, heard) = controller();
        let mut directory = DropDirectory::at(folder.path()).unwrap();
        fs::write(folder.path().join("one.order"), format!("1\n{SIGNATURE}")).unwrap();
        fs::write(folder.path().join("done"), "in the way").unwrap();
        for _ in 0..3 {
            directory.look(&controller).await;
        }
        assert_eq!(*heard.lock().unwrap(), ["1\n"]);
    }

    #[test]
    fn a_directory_into_which_others_may_write_is_not_used() {
        let folder = folder();
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        let link = folder.path().join("link");
        symlink(folder.path(), &link).unwrap();
        for bad in [shared, link, folder.path().join("none")] {
            DropDirectory::at(&bad).unwrap_err();
        }
    }
}
