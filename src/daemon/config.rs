//! The daemon's configuration: what was written (file, then flags) made into what is decided.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;
use toml::Spanned;

use super::controller::Arm;
use super::rights::{self, Grantees, Grants, UnknownName, Whom};
use super::trusted;
use crate::api::rights::Right;
use crate::model::place::line_and_column;
use crate::model::policy::NameOf;

/// Where the configuration file is looked for.
pub const CONFIG_FILE: &str = "/etc/portcullis/portcullis.toml";
/// The state directory where none is named.
pub const STATE_DIRECTORY: &str = "/var/lib/portcullis";
/// A configuration is a few lines; more is a mistake.
const CONFIG_MAX_BYTES: u64 = 64 * 1024;

/// Portcullis's privileged daemon: holds the cuts, the journal and the audit log, and serves the local socket.
///
/// It acts on the network namespace that it is started in.
#[derive(Clone, Debug, Parser)]
#[command(name = "portcullisd", version)]
pub struct Flags {
    /// Configuration file; its absence is an error only if it is named here.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of policies (`*.toml`, but for names that begin with a dot). It and its files must belong to root or to
    /// the daemon's user, and nobody else may write them.
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// State directory: journal and audit log.
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Socket for operators.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// File on tmpfs for the key that seals the audit log; beside the socket where absent.
    #[arg(long, value_name = "PATH")]
    pub audit_key: Option<PathBuf>,
    /// File of the people who may sign orders; nobody may where absent.
    #[arg(long, value_name = "FILE")]
    pub people: Option<PathBuf>,
    /// Directory into which signed orders may be laid; none where absent.
    #[arg(long, value_name = "DIR")]
    pub orders: Option<PathBuf>,
    /// Group that may open the socket; root alone where absent.
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
    /// Socket for hooks; none where absent.
    #[arg(long, value_name = "PATH")]
    pub hook_socket: Option<PathBuf>,
    /// Group that may open the socket for hooks; root alone where absent.
    #[arg(long, value_name = "GROUP")]
    pub hook_socket_group: Option<String>,
    /// Keeps the host armed: what a cut would have to add stands from the start, and changes no packet's way.
    #[arg(long)]
    pub arm: bool,
    /// Runs as the guardian of the state directory; the daemon starts it by itself.
    #[arg(long, hide = true)]
    pub guardian: bool,
    /// Checks configuration and policies, prints what is wrong, and ends.
    #[arg(long)]
    pub check: bool,
}

/// What the file says, all optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Written {
    policy_directory: Option<PathBuf>,
    state_directory: Option<PathBuf>,
    socket: Option<PathBuf>,
    audit_key: Option<PathBuf>,
    people: Option<PathBuf>,
    order_directory: Option<PathBuf>,
    socket_group: Option<String>,
    hook_socket: Option<PathBuf>,
    hook_socket_group: Option<String>,
    arm: bool,
    rights: Option<WrittenRights>,
}

/// The table `[rights]`: once it is there, what it does not grant is denied.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct WrittenRights {
    observe: WrittenPeople,
    plan: WrittenPeople,
    declare: WrittenPeople,
    approve: WrittenPeople,
    revert: WrittenPeople,
}

/// Users and groups by name, each with its place in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenPeople {
    users: Vec<Spanned<String>>,
    groups: Vec<Spanned<String>>,
}

/// Everything decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Directory of policies.
    pub policies: PathBuf,
    /// State directory.
    pub state: PathBuf,
    /// Socket for operators.
    pub socket: PathBuf,
    /// File for the key that seals the audit log; it is used only if it lies on tmpfs.
    pub audit_key: PathBuf,
    /// File of the people who may sign orders.
    pub people: Option<PathBuf>,
    /// Directory into which signed orders may be laid.
    pub orders: Option<PathBuf>,
    /// Group that may open the socket.
    pub socket_group: Option<String>,
    /// Socket for hooks.
    pub hook_socket: Option<PathBuf>,
    /// Group that may open it.
    pub hook_socket_group: Option<String>,
    /// Whether the host is to be armed.
    pub arm: Arm,
    /// Who holds which right.
    pub grants: Grants,
    /// Whom `[rights]` names and this host does not know: an error, unless a cut is held.
    pub unknown: Option<UnknownPeople>,
}

/// Names in `[rights]` that nobody has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration {path} is not valid:\n{}", lines.join("\n"))]
pub struct UnknownPeople {
    path: PathBuf,
    lines: Vec<String>,
}

/// Why the configuration is not valid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read configuration {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too long.
    #[error("configuration {path} is longer than {CONFIG_MAX_BYTES} bytes")]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// A group for a socket that there is not.
    #[error("a group is named for the socket of hooks, and no socket")]
    GroupWithoutSocket,
    /// The file is not what it should be.
    #[error("configuration {path} is not valid:\n{message}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line, column and caret.
        message: String,
    },
}

impl Config {
    /// Reads the file and lets the flags win.
    ///
    /// # Errors
    /// If the file cannot be read or is not valid; an absent file is an error only if a flag names it.
    pub fn load(flags: &Flags) -> Result<Self, ConfigError> {
        let (path, text) = match &flags.config {
            Some(path) => (path.as_path(), read(path)?),
            None if Path::new(CONFIG_FILE).exists() => (Path::new(CONFIG_FILE), read(Path::new(CONFIG_FILE))?),
            None => (Path::new(CONFIG_FILE), String::new()),
        };
        let written: Written = toml::from_str(&text).map_err(|e| ConfigError::Parse {
            path: path.to_owned(),
            message: e.to_string(),
        })?;
        let (grants, lines) = written
            .rights
            .map_or_else(Default::default, |rights| grants(&rights, &text));
        let unknown = (!lines.is_empty()).then(|| UnknownPeople {
            path: path.to_owned(),
            lines,
        });
        let pick = |flag: &Option<PathBuf>, file: Option<PathBuf>, default: &str| {
            flag.clone().or(file).unwrap_or_else(|| PathBuf::from(default))
        };
        let socket = pick(&flags.socket, written.socket, "/run/portcullis/portcullis.sock");
        let audit_key = flags.audit_key.clone().or(written.audit_key);
        let hook_socket = flags.hook_socket.clone().or(written.hook_socket);
        let hook_socket_group = flags.hook_socket_group.clone().or(written.hook_socket_group);
        if hook_socket.is_none() && hook_socket_group.is_some() {
            return Err(ConfigError::GroupWithoutSocket);
        }
        Ok(Self {
            audit_key: audit_key.unwrap_or_else(|| socket.with_file_name("audit.key")),
            policies: pick(&flags.policies, written.policy_directory, "/etc/portcullis/policies"),
            state: pick(&flags.state, written.state_directory, STATE_DIRECTORY),
            socket,
            people: flags.people.clone().or(written.people),
            orders: flags.orders.clone().or(written.order_directory),
            socket_group: flags.socket_group.clone().or(written.socket_group),
            hook_socket,
            hook_socket_group,
            arm: if flags.arm || written.arm { Arm::On } else { Arm::Off },
            grants,
            unknown,
        })
    }
}

/// The rights, and a line for each name that nobody has. Whoever has that name holds nothing.
fn grants(written: &WrittenRights, text: &str) -> (Grants, Vec<String>) {
    let mut unknown = Vec::new();
    let of_right = |right| match right {
        Right::Observe => &written.observe,
        Right::Plan => &written.plan,
        Right::Declare => &written.declare,
        Right::Approve => &written.approve,
        Right::Revert => &written.revert,
    };
    let grants = Right::ALL.into_iter().fold(Grants::none(), |grants, right| {
        let people = of_right(right);
        let users = people.users.iter().map(|name| (NameOf::User, name));
        let mut whom = Whom::default();
        for (what, name) in users.chain(people.groups.iter().map(|name| (NameOf::Group, name))) {
            match rights::number(what, name.get_ref()) {
                Ok(number) => whom.add(what, name.get_ref(), number),
                Err(error) => unknown.push(placed(&error, text, name.span().start)),
            }
        }
        grants.grant(right, Grantees::Named(whom))
    });
    (grants, unknown)
}

fn placed(error: &UnknownName, text: &str, at: usize) -> String {
    let (line, column) = line_and_column(text, at);
    format!("line {line}, column {column}: {error}")
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let file = trusted::open(path).map_err(failed)?;
    file.take(CONFIG_MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > CONFIG_MAX_BYTES {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("the temporary directory takes files");
        std::fs::write(file.path(), text).expect("the temporary directory takes files");
        file
    }

    fn with_file(text: &str, flags: &[&str]) -> Result<Config, ConfigError> {
        let file = file(text);
        let path = file.path().display().to_string();
        let mut arguments = vec!["portcullisd", "--config", &path];
        arguments.extend(flags);
        Config::load(&Flags::parse_from(arguments))
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let config = with_file("state-directory = \"/a\"\nsocket = \"/b\"\n", &["--socket", "/c"]).unwrap();
        assert_eq!(config.state, Path::new("/a"));
        assert_eq!(config.socket, Path::new("/c"));
        assert_eq!(config.audit_key, Path::new("/audit.key"));
        assert_eq!(config.policies, Path::new("/etc/portcullis/policies"));
        assert_eq!(config.socket_group, None);
    }

    #[test]
    fn a_host_is_armed_only_if_file_or_flag_say_so() {
        for (text, flags, wanted) in [
            ("", &[][..], Arm::Off),
            ("arm = false\n", &[], Arm::Off),
            ("arm = true\n", &[], Arm::On),
            ("", &["--arm"], Arm::On),
            ("arm = false\n", &["--arm"], Arm::On),
        ] {
            assert_eq!(with_file(text, flags).unwrap().arm, wanted, "{text:?} {flags:?}");
        }
    }

    #[test]
    fn there_is_no_socket_of_hooks_unless_it_is_named_and_no_group_of_none() {
        assert_eq!(with_file("", &[]).unwrap().hook_socket, None);
        let config = with_file("hook-socket = \"/h\"\n", &["--hook-socket-group", "daemon"]).unwrap();
        assert_eq!(config.hook_socket.as_deref(), Some(Path::new("/h")));
        assert_eq!(config.hook_socket_group.as_deref(), Some("daemon"));
        let alone = with_file("hook-socket-group = \"daemon\"\n", &[]);
        assert!(matches!(alone, Err(ConfigError::GroupWithoutSocket)), "{alone:?}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = with_file("state-directory = \"/a\"\nsocet = \"/b\"\n", &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2") && error.contains("socet"), "{error}");
    }

    #[test]
    fn without_a_table_of_rights_the_socket_is_the_grant_and_with_one_what_is_not_granted_is_denied() {
        assert_eq!(with_file("arm = false\n", &[]).unwrap().grants, Grants::default());
        let none = with_file("[rights]\n", &[]).unwrap().grants;
        let some = "[rights]\nobserve = { groups = [\"daemon\"] }\nrevert = { users = [\"root\", \"nobody\"] }\n";
        let some = with_file(some, &[]).unwrap().grants;
        let named = |grants: &Grants, right| match grants.holders(right) {
            Some(Grantees::Named(whom)) => whom.to_string(),
            other => panic!("{right:?}: {other:?}"),
        };
        for right in Right::ALL {
            assert_eq!(named(&none, right), "nobody");
        }
        assert_eq!(named(&some, Right::Observe), "groups daemon");
        assert_eq!(named(&some, Right::Declare), "nobody");
        assert_eq!(named(&some, Right::Revert), "users nobody, root");
    }

    #[test]
    fn whoever_is_unknown_here_is_named_with_line_and_column_and_holds_nothing() {
        let text = "[rights]\nobserve = { users = [\"root\",\n  \"no-such-user\"], groups = [\"no-such-group\"] }\n";
        let config = with_file(text, &[]).unwrap();
        let unknown = config.unknown.unwrap().to_string();
        for line in [
            "line 3, column 3: no user \"no-such-user\" on this host",
            "line 3, column 30: no group \"no-such-group\" on this host",
        ] {
            assert!(unknown.contains(line), "{unknown}");
        }
        assert_eq!(
            config
                .grants
                .holders(Right::Observe)
                .map(|g| format!("{g:?}").contains("no-such")),
            Some(false)
        );
    }

    #[test]
    fn a_right_that_there_is_not_is_refused_with_its_line() {
        let error = with_file("[rights]\nadminister = { users = [\"root\"] }\n", &[]).unwrap_err();
        assert!(
            error.to_string().contains("line 2") && error.to_string().contains("administer"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_others_may_write_is_refused() {
        let file = file("arm = false\n");
        for (mode, taken) in [(0o644, true), (0o664, false), (0o666, false)] {
            std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            let flags = Flags::parse_from(["portcullisd".as_ref(), "--config".as_ref(), file.path().as_os_str()]);
            let loaded = Config::load(&flags).map_err(|e| crate::api::error::chain(&e));
            assert_eq!(loaded.is_ok(), taken, "{mode:o}: {loaded:?}");
        }
    }

    #[test]
    fn a_named_file_that_is_absent_is_an_error() {
        let flags = Flags::parse_from(["portcullisd", "--config", "/nonexistent/portcullis.toml"]);
        assert!(matches!(Config::load(&flags), Err(ConfigError::Read { .. })));
    }
}
