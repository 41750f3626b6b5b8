//! `portcullisd`: flags, logging, configuration, state, kernel, socket, serve, drain.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use super::check;
use super::config::{self, Config, Flags};
use super::drop_directory::DropDirectory;
use super::guardian;
use super::namespace::ClaimError;
use super::people::Known;
use super::policies::Policies;
use super::server::{Server, ServerError};
use super::service::{Guard, Post, Service};
use super::supervisor::{self, Supervisor};
use crate::api::error::chain;
use crate::store::ratchet::Keeping;
use crate::store::{StoreError, journal};

/// Configuration or policy is not valid (DESIGN: exit code 10, the same for every command).
const EXIT_INVALID: u8 = 10;

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the configuration or a policy is not valid")]
    Invalid(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the daemon cannot run")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Runs the daemon until SIGTERM or SIGINT.
#[must_use]
pub fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.guardian {
        // Nobody reads what it would log; what it does, it records.
        let keeping = flags.audit_key.map_or(Keeping::Memory, Keeping::File);
        let state = flags.state.unwrap_or_else(|| PathBuf::from(config::STATE_DIRECTORY));
        return guardian::watch(&state, &keeping);
    }
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&flags, &failure);
            ExitCode::from(match failure {
                Failure::Invalid(_) => EXIT_INVALID,
                Failure::Broken(_) => 1,
            })
        }
    }
}

/// A check is read by people, who want the lines of a policy's errors; everything else goes to the log.
fn tell(flags: &Flags, failure: &Failure) {
    let text = chain(failure);
    if flags.check && writeln!(std::io::stderr(), "{text}").is_ok() {
        return;
    }
    match hint(failure) {
        Some(hint) => error!(error = text, hint, "ending"),
        None => error!(error = text, "ending"),
    }
}

fn run(flags: &Flags) -> Result<(), Failure> {
    let config = Config::load(flags).map_err(|e| Failure::Invalid(Box::new(e)))?;
    let unknown = config.unknown.clone().map_or(Ok(()), Err);
    or_hold(flags, &config, unknown, "whoever is not known holds no right")?;
    let groups = [&config.socket_group, &config.hook_socket_group];
    for group in groups.into_iter().flatten().filter(|_| flags.check) {
        Server::knows_group(&config.socket, group).map_err(|e| Failure::Invalid(Box::new(e)))?;
    }
    let policies = Policies::load(&config.policies);
    let policies = or_hold(flags, &config, policies, "nothing can be declared until a restart")?;
    let people = config.people.as_deref().map_or(Ok(Known::default()), Known::load);
    let people = or_hold(flags, &config, people, "no signed order is taken until a restart")?;
    let orders = config.orders.as_deref().map(DropDirectory::at).transpose();
    let orders = or_hold(
        flags,
        &config,
        orders,
        "no order is taken from a directory until a restart",
    )?;
    if flags.check {
        return check::report(&config, &policies, &people).map_err(|e| Failure::Broken(Box::new(e)));
    }
    let broken = |e: std::io::Error| Failure::Broken(Box::new(e));
    let server = bind(&config).map_err(|e| Failure::Broken(Box::new(e)))?;
    let post = Post {
        guard: Guard::Guardian,
        supervisor: Supervisor::of_process(),
        keeping: Keeping::File(config.audit_key.clone()),
        arm: config.arm,
        people,
        hook_socket: config.hook_socket.clone(),
    };
    let service = Service::start(&config.state, policies, post).map_err(|e| Failure::Broken(Box::new(e)))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(broken)?;
    info!(socket = %config.socket.display(), state = %config.state.display(), "ready");
    if let Some(directory) = orders {
        runtime.spawn(directory.watch(service.handle()));
    }
    let served = runtime.block_on(serve(server, &service));
    service.stop();
    served.map_err(broken)
}

/// Both sockets, or that of operators alone.
fn bind(config: &Config) -> Result<Server, ServerError> {
    let server = Server::bind(&config.socket, config.socket_group.as_deref())?.with_grants(config.grants.clone());
    match &config.hook_socket {
        Some(hooks) => server.with_hooks(hooks, config.hook_socket_group.as_deref()),
        None => Ok(server),
    }
}

/// What is not valid is no reason to let go of a cut that is held: the daemon goes on without it.
fn or_hold<T: Default, E: std::error::Error + Send + Sync + 'static>(
    flags: &Flags,
    config: &Config,
    loaded: Result<T, E>,
    then: &str,
) -> Result<T, Failure> {
    loaded.or_else(|invalid| {
        if flags.check || !journal::stands_at(&config.state) {
            return Err(Failure::Invalid(Box::new(invalid)));
        }
        error!(why = chain(&invalid), then, "holding what the journal holds");
        Ok(T::default())
    })
}

async fn serve(server: Server, service: &Service) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let told = async {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM"),
            _ = interrupt.recv() => info!("SIGINT"),
        }
        supervisor::stopping();
    };
    supervisor::ready();
    server.run(service.handle(), told).await
}

/// What an operator can do about it, where a cause knows.
fn hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(store) = error.downcast_ref::<StoreError>() {
            return Some(store.hint());
        }
        if let Some(claim) = error.downcast_ref::<ClaimError>() {
            return Some(claim.hint());
        }
        if let Some(server) = error.downcast_ref::<ServerError>() {
            return Some(server.hint());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_refuses_a_group_that_a_start_would_refuse() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("portcullis.toml");
        std::fs::write(&file, "").unwrap();
        let policies = folder.path().join("policies");
        std::fs::create_dir(&policies).unwrap();
        for (path, mode) in [(&file, 0o644), (&policies, 0o755)] {
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        let with = |group: &str| {
            let (file, policies) = (file.display().to_string(), policies.display().to_string());
            let flags = ["portcullisd", "--check", "--config", &file, "--policies", &policies];
            run(&Flags::parse_from(flags.into_iter().chain(["--socket-group", group])))
        };
        assert!(matches!(with("no-such-group"), Err(Failure::Invalid(_))));
        let known = with("daemon");
        assert!(known.is_ok(), "{known:?}");
    }
}
