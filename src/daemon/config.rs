//! The daemon's configuration: what was written (file, then flags) made into what is decided.

use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;

use super::controller::Arm;

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
    /// Directory of policies (`*.toml`).
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
    /// Group that may open the socket; root alone where absent.
    #[arg(long, value_name = "GROUP")]
    pub socket_group: Option<String>,
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
    socket_group: Option<String>,
    arm: bool,
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
    /// Group that may open the socket.
    pub socket_group: Option<String>,
    /// Whether the host is to be armed.
    pub arm: Arm,
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
        let written = match &flags.config {
            Some(path) => read(path)?,
            None if Path::new(CONFIG_FILE).exists() => read(Path::new(CONFIG_FILE))?,
            None => Written::default(),
        };
        let pick = |flag: &Option<PathBuf>, file: Option<PathBuf>, default: &str| {
            flag.clone().or(file).unwrap_or_else(|| PathBuf::from(default))
        };
        let socket = pick(&flags.socket, written.socket, "/run/portcullis/portcullis.sock");
        let audit_key = flags.audit_key.clone().or(written.audit_key);
        Ok(Self {
            audit_key: audit_key.unwrap_or_else(|| socket.with_file_name("audit.key")),
            policies: pick(&flags.policies, written.policy_directory, "/etc/portcullis/policies"),
            state: pick(&flags.state, written.state_directory, STATE_DIRECTORY),
            socket,
            socket_group: flags.socket_group.clone().or(written.socket_group),
            arm: if flags.arm || written.arm { Arm::On } else { Arm::Off },
        })
    }
}

fn read(path: &Path) -> Result<Written, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    // A FIFO would hold the start up until somebody writes into it, and without waiting it would pass for an empty file.
    if std::fs::metadata(path).map_err(failed)?.file_type().is_fifo() {
        let why = std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is a FIFO");
        return Err(failed(why));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(CONFIG_MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() as u64 > CONFIG_MAX_BYTES {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    toml::from_str(&text).map_err(|e| ConfigError::Parse {
        path: path.to_owned(),
        message: e.to_string(),
    })
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
    fn an_unknown_key_is_refused_with_its_line() {
        let error = with_file("state-directory = \"/a\"\nsocet = \"/b\"\n", &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2") && error.contains("socet"), "{error}");
    }

    #[test]
    fn a_named_file_that_is_absent_is_an_error() {
        let flags = Flags::parse_from(["portcullisd", "--config", "/nonexistent/portcullis.toml"]);
        assert!(matches!(Config::load(&flags), Err(ConfigError::Read { .. })));
    }
}
