//! `portcullisd --check`: what is configured, and who holds what.

use std::ffi::CString;
use std::io::{self, Write as _};

use nix::unistd::{Gid, Group, User, getgrouplist};

use super::config::Config;
use super::people::Known;
use super::policies::Policies;
use super::rights::{Grantees, Whom};
use crate::api::rights::Right;
use crate::authority::people::Person;

/// Prints it.
///
/// # Errors
/// If standard output takes nothing.
pub fn report(config: &Config, policies: &Policies, people: &Known) -> io::Result<()> {
    let text = text(config, policies) + &signers(people);
    io::stdout().write_all(text.as_bytes())
}

fn text(config: &Config, policies: &Policies) -> String {
    let names: Vec<String> = policies.iter().map(|l| l.policy.name.to_string()).collect();
    let mut text = format!(
        "configuration and {} policies are valid: {}\nsocket: root{}\n",
        names.len(),
        names.join(", "),
        config
            .socket_group
            .as_ref()
            .map_or_else(String::new, |group| format!(", group {group}"))
    );
    for right in Right::ALL {
        let holders = match config.grants.holders(right) {
            None => "root".to_owned(),
            Some(Grantees::SocketGroup) => "whoever may open the socket".to_owned(),
            Some(Grantees::Named(whom)) if *whom == Whom::default() => "root".to_owned(),
            Some(Grantees::Named(whom)) => format!("root; {whom}"),
        };
        text += &format!("{}: {holders}\n", right.word());
    }
    for loaded in policies.iter() {
        let narrowed = [
            ("declare", &loaded.who.declare),
            ("approve", &loaded.who.approve),
            ("revert", &loaded.who.revert),
        ];
        for (right, whom) in narrowed
            .iter()
            .filter_map(|(right, whom)| Some((right, whom.as_ref()?)))
        {
            text += &format!("{right} of {}: of these only root; {whom}\n", loaded.policy.name);
        }
    }
    for user in shut_out(config) {
        text += &format!("warning: user {user} holds a right, but may not open the socket\n");
    }
    text + &hooks(config, policies)
}

/// By which socket hooks come, and what they may declare.
fn hooks(config: &Config, policies: &Policies) -> String {
    let mut text = config.hook_socket.as_ref().map_or_else(String::new, |_| {
        let group = config.hook_socket_group.as_ref();
        format!(
            "socket of hooks: root{}\n",
            group.map_or_else(String::new, |group| format!(", group {group}"))
        )
    });
    let group = config.hook_socket_group.as_deref().and_then(gid);
    let marked = policies.iter().filter_map(|l| Some((l, l.policy.hook.as_ref()?)));
    for (loaded, hook) in marked {
        let (name, users) = (&loaded.policy.name, hook.users.iter().map(String::as_str));
        let listed = users.clone().collect::<Vec<_>>().join(", ");
        text += &format!("hooks that declare {name}: any {} of users {listed}\n", hook.sources);
        if config.hook_socket.is_none() {
            text += &format!("warning: hooks may declare {name}, and there is no socket for them\n");
            continue;
        }
        for user in users.filter(|user| !opens(user, group)) {
            text +=
                &format!("warning: user {user} may declare {name} as a hook, but may not open the socket of hooks\n");
        }
    }
    text
}

/// A line for each person who may sign orders.
fn signers(known: &Known) -> String {
    let line = |person: &Person| {
        let roles: Vec<&str> = person.roles.iter().map(|role| role.word()).collect();
        let account = known.account(&person.name);
        let account = account.map_or_else(String::new, |account| format!(", user {} here", account.user));
        format!("by signed order: {}{account}: {}\n", person.name, roles.join(", "))
    };
    known.people.iter().map(line).collect()
}

/// The users that hold a right by name and are not in the group of the socket. Of groups nobody knows all members.
fn shut_out(config: &Config) -> Vec<String> {
    let group = config.socket_group.as_deref().and_then(gid);
    let mut users: Vec<String> = Right::ALL
        .into_iter()
        .filter_map(|right| match config.grants.holders(right)? {
            Grantees::Named(whom) => Some(whom),
            Grantees::SocketGroup => None,
        })
        .flat_map(Whom::users)
        .filter(|user| !opens(user, group))
        .map(str::to_owned)
        .collect();
    users.sort();
    users.dedup();
    users
}

fn gid(group: &str) -> Option<Gid> {
    let number = group.parse().ok().map(Gid::from_raw);
    number.or_else(|| Group::from_name(group).ok().flatten().map(|group| group.gid))
}

fn opens(user: &str, socket: Option<Gid>) -> bool {
    let Ok(Some(entry)) = User::from_name(user) else {
        return false;
    };
    let groups = CString::new(user)
        .ok()
        .and_then(|name| getgrouplist(&name, entry.gid).ok());
    entry.uid.is_root() || groups.unwrap_or_default().iter().any(|group| Some(*group) == socket)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser as _;

    use super::*;
    use crate::daemon::config::Flags;

    const POLICY: &str = include_str!("../../policies/isolate-host.toml");

    fn of(config: &str, more: &str) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        let flags = Flags::parse_from(["portcullisd".as_ref(), "--config".as_ref(), file.path().as_os_str()]);
        let policies = Policies::from_source(Path::new("x.toml"), format!("{POLICY}\n{more}")).unwrap();
        text(&Config::load(&flags).unwrap(), &policies)
    }

    #[test]
    fn without_a_table_whoever_may_open_the_socket_holds_everything() {
        let wanted = "configuration and 1 policies are valid: isolate-host\nsocket: root, group daemon\n\
                      observe: whoever may open the socket\nplan: whoever may open the socket\n\
                      declare: whoever may open the socket\napprove: whoever may open the socket\nrevert: whoever may open the socket\n";
        assert_eq!(of("socket-group = \"daemon\"\n", ""), wanted);
    }

    #[test]
    fn hooks_are_named_with_what_they_may_declare_and_who_cannot_get_in_is_told() {
        let hook =
            "[hook]\nusers = [\"bin\", \"daemon\"]\nsources = 2\nauthority = \"plan 4.2\"\noccasion = \"exercise\"\n";
        let of_hooks = |config| {
            let text = of(config, hook);
            let at = text.find("revert: whoever").unwrap();
            text[at..].split_once('\n').unwrap().1.to_owned()
        };
        let may = "hooks that declare isolate-host: any 2 of users bin, daemon\n";
        let none = "warning: hooks may declare isolate-host, and there is no socket for them\n";
        assert_eq!(of_hooks(""), format!("{may}{none}"));
        let socket = "hook-socket = \"/h\"\nhook-socket-group = \"daemon\"\n";
        let out = "warning: user bin may declare isolate-host as a hook, but may not open the socket of hooks\n";
        assert_eq!(
            of_hooks(socket),
            format!("socket of hooks: root, group daemon\n{may}{out}")
        );
    }

    #[test]
    fn with_a_table_everybody_is_named_and_who_cannot_get_in_is_told() {
        let config = "socket-group = \"daemon\"\n[rights]\nobserve = { users = [\"daemon\", \"nobody\"] }\n\
                      declare = { groups = [\"adm\"] }\n";
        let wanted = "configuration and 1 policies are valid: isolate-host\nsocket: root, group daemon\n\
                      observe: root; users daemon, nobody\nplan: root\ndeclare: root; groups adm\napprove: root\nrevert: root\n\
                      declare of isolate-host: of these only root; groups adm\n\
                      warning: user nobody holds a right, but may not open the socket\n";
        assert_eq!(of(config, "[who]\ndeclare = { groups = [\"adm\"] }\n"), wanted);
    }
}
