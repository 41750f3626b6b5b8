//! The socket file: made with its final mode and group before anybody can see it, and taken away by whoever made it.
//!
//! It is bound inside a private directory beside its final place and then renamed there, so no instant exists in which
//! it is open to more people than it should be, and the process's umask (which is everybody's) is left alone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, OFlag, RenameFlags, renameat2};
use nix::sys::socket::{Backlog, listen};
use nix::unistd::{Gid, Group, Uid, chown};

/// Bytes that `sun_path` takes, less the terminating NUL (unix(7)).
const PATH_BYTES: usize = 107;
/// Callers that may wait to be accepted; further ones wait in connect(2) or get EAGAIN. With the kernel's 4,096, which the
/// standard library asks for, a loop that connects and hangs up puts seconds of dead connections before everybody else.
const BACKLOG: i32 = 128;
/// Who may connect: owner and group.
const MODE: u32 = 0o660;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It does not fit into a socket address.
    #[error("the socket path {} has {bytes} bytes; the kernel takes at most {PATH_BYTES} (unix(7))", path.display())]
    PathTooLong {
        /// As given.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// It has no directory or no file name.
    #[error("the socket path {} does not name a file in a directory", path.display())]
    NotAFile {
        /// As given.
        path: PathBuf,
    },
    /// A daemon answers there.
    #[error("another process listens on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} exists and is not a socket of uid {own_uid}; it is left alone", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The daemon's own uid.
        own_uid: u32,
    },
    /// The group database does not have it.
    #[error("no group `{group}` on this host")]
    NoSuchGroup {
        /// As given.
        group: String,
    },
    /// A system call failed.
    #[error("failed to {doing} for the socket {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The socket.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl ServerError {
    /// What an operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::PathTooLong { .. } | Self::NotAFile { .. } => {
                "name another path, such as /run/portcullis/portcullis.sock".to_owned()
            }
            Self::InUse { .. } => "stop that process first, or name another socket".to_owned(),
            Self::NotOurs { path, .. } => format!("find out who made it, then move {path:?} away"),
            Self::NoSuchGroup { group } => format!("create the group with `groupadd {group}`, or name another"),
            Self::Io { path, .. } => format!("the directory of {path:?} must exist and belong to the daemon's user"),
        }
    }
}

/// A listening socket and the file that leads to it. The file is removed when this is dropped, if it is still ours.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    // Open for as long as this lives, so that the inode's number cannot be given to a successor's file.
    inode: File,
}

/// Binds and listens at `path`, mode 0660, owned by `group` (a name or a number) where one is given.
pub(super) fn bind(path: &Path, group: Option<&str>) -> Result<(UnixListener, SocketFile), ServerError> {
    let (Some(directory), Some(_)) = (path.parent(), path.file_name()) else {
        return Err(ServerError::NotAFile { path: path.to_owned() });
    };
    fits(path, path)?;
    let group = group.map(|name| resolve(path, name)).transpose()?;
    remove_stale(path)?;
    let failed = |doing| {
        move |source: io::Error| ServerError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    };
    let private = tempfile::Builder::new()
        .prefix(".s")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(directory)
        .map_err(failed("make a private directory"))?;
    let hidden = private.path().join("s");
    fits(&hidden, path)?;
    let listener = UnixListener::bind(&hidden).map_err(failed("bind"))?;
    if let Some(group) = group {
        chown(&hidden, None, Some(group)).map_err(|e| failed("set the group")(e.into()))?;
    }
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(MODE)).map_err(failed("set the mode"))?;
    let backlog = Backlog::new(BACKLOG).map_err(|e| failed("choose the backlog")(e.into()))?;
    listen(&listener, backlog).map_err(|e| failed("listen")(e.into()))?;
    listener.set_nonblocking(true).map_err(failed("set O_NONBLOCK"))?;
    let inode = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_PATH | OFlag::O_NOFOLLOW).bits())
        .open(&hidden)
        .map_err(failed("open O_PATH"))?;
    // NOREPLACE: whoever came between the check and here keeps the place.
    renameat2(AT_FDCWD, &hidden, AT_FDCWD, path, RenameFlags::RENAME_NOREPLACE)
        .map_err(|e| failed("rename into place")(e.into()))?;
    let file = SocketFile {
        path: path.to_owned(),
        inode,
    };
    Ok((listener, file))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let there = std::fs::symlink_metadata(&self.path);
        let ours = there.and_then(|there| Ok((there, self.inode.metadata()?)));
        if ours.is_ok_and(|(there, ours)| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "socket file not removed, ignoring");
        }
    }
}

fn fits(bound: &Path, path: &Path) -> Result<(), ServerError> {
    match bound.as_os_str().len() {
        0..=PATH_BYTES => Ok(()),
        bytes => Err(ServerError::PathTooLong {
            path: path.to_owned(),
            bytes,
        }),
    }
}

pub(super) fn resolve(path: &Path, group: &str) -> Result<Gid, ServerError> {
    if let Ok(gid) = group.parse::<u32>() {
        return Ok(Gid::from_raw(gid));
    }
    let found = Group::from_name(group).map_err(|errno| ServerError::Io {
        doing: "look up the group",
        path: path.to_owned(),
        source: errno.into(),
    })?;
    found.map(|g| g.gid).ok_or_else(|| ServerError::NoSuchGroup {
        group: group.to_owned(),
    })
}

/// Removes a socket file of ours on which nobody listens, and nothing else.
fn remove_stale(path: &Path) -> Result<(), ServerError> {
    let failed = |doing| {
        move |source: io::Error| ServerError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    };
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look for a stale file")(error)),
    };
    let own_uid = Uid::effective().as_raw();
    if !metadata.file_type().is_socket() || metadata.uid() != own_uid {
        return Err(ServerError::NotOurs {
            path: path.to_owned(),
            own_uid,
        });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed("remove the stale file"))
        }
        // A full backlog (EAGAIN) has a listener behind it too.
        Ok(_) => Err(ServerError::InUse { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(ServerError::InUse { path: path.to_owned() }),
        Err(error) => Err(failed("ask whether anybody listens")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_open_to_owner_and_group_only_and_goes_with_its_maker() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.sock");
        let (_listener, file) = bind(&path, Some(&Gid::effective().to_string())).unwrap();
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o7777, MODE);
        assert_eq!(metadata.gid(), Gid::effective().as_raw());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "the private directory stayed"
        );
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (_listener, _file) = bind(&path, None).unwrap();
        let error = bind(&path, None).unwrap_err();
        assert!(matches!(error, ServerError::InUse { .. }), "{error}");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.sock");
        std::fs::write(&path, "precious").unwrap();
        let error = bind(&path, None).unwrap_err();
        assert!(matches!(error, ServerError::NotOurs { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let stale = dir.path().join("stale.sock");
        drop(UnixListener::bind(&stale).unwrap());
        let path = dir.path().join("p.sock");
        std::os::unix::fs::symlink(&stale, &path).unwrap();
        assert!(matches!(bind(&path, None).unwrap_err(), ServerError::NotOurs { .. }));
        assert!(stale.exists());
    }

    #[test]
    fn a_successor_keeps_its_file_when_the_predecessor_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.sock");
        let (listener, file) = bind(&path, None).unwrap();
        drop(listener);
        let (_listener, _successor) = bind(&path, None).unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_path_that_is_too_long_says_by_how_much() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
        let error = bind(&path, None).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("has 125 bytes; the kernel takes at most 107 (unix(7))"),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_group_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = bind(&dir.path().join("p.sock"), Some("no-such-group-here")).unwrap_err();
        assert_eq!(error.to_string(), "no group `no-such-group-here` on this host");
    }
}
