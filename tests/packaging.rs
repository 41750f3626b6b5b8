//! What the packages hold besides the binaries: manual pages and completions are what the command lines of this version
//! generate, the hand-written pages name every key and every error, and what they and the package show is accepted.
//!
//! After a change of the command line: `PORTCULLIS_GOLDEN=write cargo test --test packaging`.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files must fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _, Parser as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use portcullis::cli::Exit;
use portcullis::daemon::config::{Config, Flags};
use portcullis::model::policy_file::{Code, parse};

/// Pages that people write.
const HAND_WRITTEN: [&str; 2] = ["portcullis-policy.5", "portcullis.toml.5"];

fn packaging(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(below)
}

fn page(name: &str) -> String {
    fs::read_to_string(packaging("man").join(name)).unwrap()
}

/// Holds a directory against what is generated, or writes it.
fn hold(directory: &Path, generated: &BTreeMap<String, Vec<u8>>, others: &[&str]) {
    let write = std::env::var("PORTCULLIS_GOLDEN").is_ok_and(|v| v == "write");
    let listed = fs::read_dir(directory).unwrap();
    let there: BTreeSet<String> = listed
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !others.contains(&name.as_str()))
        .collect();
    if write {
        for stale in there.iter().filter(|name| !generated.contains_key(*name)) {
            fs::remove_file(directory.join(stale)).unwrap();
        }
        for (name, bytes) in generated {
            fs::write(directory.join(name), bytes).unwrap();
        }
        return;
    }
    assert_eq!(there, generated.keys().cloned().collect(), "{}", directory.display());
    for (name, bytes) in generated {
        let committed = fs::read(directory.join(name)).unwrap();
        assert!(
            committed == *bytes,
            "{name} is not what the command line says: PORTCULLIS_GOLDEN=write cargo test --test packaging"
        );
    }
}

#[test]
fn the_manual_pages_are_those_of_this_command_line() {
    let mut pages = BTreeMap::new();
    let mut client = portcullis::cli::command().term_width(0);
    client.build();
    let exits: Vec<(u8, &str)> = Exit::ALL.iter().map(|exit| (exit.number(), exit.meaning())).collect();
    add_pages(&mut pages, &client, &exits);
    let mut daemon = Flags::command().term_width(0);
    daemon.build();
    let exits = [
        (
            0,
            "told to stop (SIGTERM, SIGINT), or --check found nothing wrong; a cut in force stays in force",
        ),
        (1, "it cannot run: socket, state directory, or kernel"),
        (2, "usage"),
        (10, "configuration or policy invalid"),
    ];
    pages.insert("portcullisd.8".to_owned(), render(&daemon, "8", &exits));
    hold(&packaging("man"), &pages, &HAND_WRITTEN);
}

fn add_pages(pages: &mut BTreeMap<String, Vec<u8>>, command: &Command, exits: &[(u8, &str)]) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    pages.insert(format!("{name}.1"), render(command, "1", exits));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        add_pages(pages, sub, exits);
    }
}

fn render(command: &Command, section: &str, exits: &[(u8, &str)]) -> Vec<u8> {
    let man = Man::new(command.clone())
        .section(section)
        .source("portcullis")
        .manual("Portcullis");
    let mut page = Vec::new();
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    if command.get_subcommands().next().is_some() {
        man.render_subcommands_section(&mut page).unwrap();
    }
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for (number, meaning) in exits {
        rest.control("TP", []);
        rest.text([bold(number.to_string())]);
        rest.text([roman(*meaning)]);
    }
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman(
        "portcullis(1), portcullisd(8), portcullis.toml(5), portcullis-policy(5)",
    )]);
    rest.to_writer(&mut page).unwrap();
    page
}

#[test]
fn the_completions_are_those_of_this_command_line() {
    let files = [
        (Shell::Bash, "portcullis.bash"),
        (Shell::Zsh, "_portcullis"),
        (Shell::Fish, "portcullis.fish"),
    ];
    let generated = files.map(|(shell, file)| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut portcullis::cli::command(), "portcullis", &mut script);
        (file.to_owned(), script)
    });
    hold(&packaging("completions"), &generated.into_iter().collect(), &[]);
}

/// The example of a hand-written page, as it reads.
fn example(page: &str) -> String {
    let (_, rest) = page.split_once("\n.EX\n").unwrap();
    rest.split_once(".EE\n").unwrap().0.replace("\\-", "-")
}

fn config_of(text: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = directory.path().join("portcullis.toml");
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let flags = Flags::parse_from(["portcullisd".as_ref(), "--config".as_ref(), file.as_os_str()]);
    Config::load(&flags).map_err(|error| error.to_string())
}

#[test]
fn the_packaged_configuration_is_the_default_with_the_group_of_operators() {
    let text = fs::read_to_string(packaging("portcullis.toml")).unwrap();
    let config = config_of(&text).unwrap();
    let default = config_of("").unwrap();
    let with_group = Config {
        socket_group: Some("portcullis".to_owned()),
        ..default
    };
    assert_eq!(config, with_group);
    // What stands behind a `#` is said to be the default, so it must be that.
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(setting) if setting.contains(" = ") => format!("{setting}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    assert_ne!(uncommented, text);
    assert_eq!(config_of(&uncommented).unwrap(), with_group);
}

#[test]
fn the_page_of_the_configuration_names_every_key_and_its_example_is_valid() {
    let page = page("portcullis.toml.5");
    assert!(config_of(&example(&page)).is_ok());
    let known = config_of("no-such-key = 1\n").unwrap_err();
    let (_, expected) = known.split_once("expected one of").unwrap();
    let keys: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    assert!(keys.len() >= 4, "{known}");
    for key in keys {
        assert!(
            page.contains(&format!(".B {}\n", key.replace('-', "\\-"))),
            "{key} is not described"
        );
    }
}

#[test]
fn the_page_of_policies_names_every_key_and_every_error_and_its_example_is_valid() {
    let page = page("portcullis-policy.5");
    parse("portcullis-policy(5)", &example(&page)).unwrap_or_else(|errors| panic!("{errors}"));
    let probe = "no-such-key-zzzz = 1\n";
    let sections = [
        "scope",
        "methods",
        "methods.routes",
        "keep",
        "limits",
        "fail",
        "notice",
        "public",
        "approval",
        "hook",
        "who",
        "who.declare",
        "[lifelines]",
        "[scope.zones]",
    ];
    let everywhere: String = sections.iter().map(|section| format!("[{section}]\n{probe}")).collect();
    let errors = parse("probe", &format!("{probe}{everywhere}")).unwrap_err();
    let known: Vec<&str> = errors
        .errors()
        .iter()
        .filter(|e| e.code == Code::UnknownField)
        .filter_map(|e| e.hint.as_deref()?.strip_prefix("known here: "))
        .collect();
    assert_eq!(known.len(), sections.len() + 1, "{errors}");
    for key in known.iter().flat_map(|list| list.split(", ")) {
        let written = key.replace('-', "\\-");
        let described = [
            format!(".B {written}\n"),
            format!("[{written}]"),
            format!("\\fB{written}\\fR"),
        ];
        assert!(
            described.iter().any(|form| page.contains(form)),
            "{key} is not described"
        );
    }
    for code in Code::ALL {
        assert!(
            page.contains(&code.as_str().replace('-', "\\-")),
            "{code} is not described"
        );
    }
}

#[test]
fn every_page_has_its_exit_codes() {
    let listed = fs::read_dir(packaging("man")).unwrap();
    let generated = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for name in generated.filter(|name| !HAND_WRITTEN.contains(&name.as_str())) {
        let page = page(&name);
        assert!(page.contains("EXIT STATUS"), "{name}");
        assert!(page.contains("\\fB10\\fR"), "{name}");
    }
}

/// The policy that is loaded from the first moment cuts nothing beyond the host and keeps a way in.
#[test]
fn the_installed_policy_is_one_of_the_examples() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let metadata = manifest["package"]["metadata"].as_table().unwrap();
    for (tool, key) in [("deb", 0), ("generate-rpm", 1)] {
        let assets = metadata[tool]["assets"].as_array().unwrap();
        let pair = |asset: &toml::Value| match key {
            0 => (
                asset[0].as_str().unwrap().to_owned(),
                asset[1].as_str().unwrap().to_owned(),
            ),
            _ => (
                asset["source"].as_str().unwrap().to_owned(),
                asset["dest"].as_str().unwrap().to_owned(),
            ),
        };
        let pairs: Vec<(String, String)> = assets.iter().map(pair).collect();
        let loaded: Vec<&str> = pairs
            .iter()
            .filter(|(_, to)| to.trim_start_matches('/').starts_with("etc/portcullis/policies"))
            .map(|(from, _)| from.as_str())
            .collect();
        assert_eq!(loaded, ["policies/isolate-host.toml"], "{tool}");
        assert!(pairs.iter().any(|(from, _)| from == "policies/*.toml"), "{tool}");
    }
}

#[test]
fn the_unit_is_there_before_the_network_and_needs_only_its_disk() {
    let unit = include_str!("../packaging/systemd/portcullisd.service");
    let setting = |name: &str| -> Vec<&str> {
        let values = unit
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        values.flat_map(|value| value.split(' ')).collect()
    };
    assert_eq!(setting("DefaultDependencies"), ["no"]);
    assert!(setting("Before").contains(&"network-pre.target"));
    assert!(setting("Wants").contains(&"network-pre.target"));
    assert!(setting("RequiresMountsFor").contains(&"/var/lib/portcullis"));
    for after in setting("After").into_iter().chain(setting("Requires")) {
        for late in ["network", "basic.target", "sysinit.target", "journal", "syslog"] {
            assert!(!after.contains(late), "it waits for {after}");
        }
    }
}

#[test]
fn the_unit_lets_the_guardian_outlive_the_daemon() {
    let unit = include_str!("../packaging/systemd/portcullisd.service");
    assert!(unit.lines().any(|line| line == "KillMode=process"));
}
