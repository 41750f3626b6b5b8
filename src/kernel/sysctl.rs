//! The sysctls that a cut depends on or that a link's going down changes.
//!
//! They are read and written through `/proc/sys/net`, which shows the network namespace of the thread that looks.
//! No other sysctl is ever read or written.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::KernelError;
use crate::model::names::InterfaceName;
use crate::model::object::{Link, Sysctl};
use crate::model::sysctl::of_link;

/// Of the whole namespace: forwarding, reverse path filtering, and whether IPv6 addresses survive a link's going down.
pub const OF_HOST: [&str; 5] = [
    "net.ipv4.ip_forward",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.all.keep_addr_on_down",
];

/// Of every link, by family. `mtu` of IPv6 may come from a router advertisement and falls back on link down.
pub const OF_LINK: [(&str, &[&str]); 2] = [
    ("ipv4", &["arp_notify", "rp_filter"]),
    (
        "ipv6",
        &[
            "accept_dad",
            "accept_ra",
            "addr_gen_mode",
            "disable_ipv6",
            "keep_addr_on_down",
            "mtu",
            "ndisc_notify",
        ],
    ),
];

/// Reads all of them that this kernel has.
///
/// # Errors
/// If one is there and cannot be read.
pub fn read(links: &[Link]) -> Result<Vec<Sysctl>, KernelError> {
    let mut found = Vec::new();
    for name in OF_HOST {
        found.extend(read_one(path_of_host(name), || name.to_owned())?);
    }
    for link in links {
        for (family, keys) in OF_LINK {
            for key in keys {
                let name = || of_link(family, &link.name.to_string(), key);
                found.extend(read_one(path_of_link(family, &link.name, key), name)?);
            }
        }
    }
    Ok(found)
}

fn read_one(path: PathBuf, name: impl Fn() -> String) -> Result<Option<Sysctl>, KernelError> {
    match fs::read_to_string(path) {
        Ok(value) => Ok(Some(Sysctl {
            name: name(),
            value: value.strip_suffix('\n').unwrap_or(&value).to_owned(),
        })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KernelError::Sysctl {
            attempted: "read",
            name: name(),
            source,
        }),
    }
}

/// Writes one of them.
///
/// # Errors
/// EPERM for a name that is none of them; whatever the write says.
pub fn write(sysctl: &Sysctl) -> io::Result<()> {
    let path = path(&sysctl.name).ok_or_else(|| io::Error::from(nix::Error::EPERM))?;
    fs::write(path, &sysctl.value)
}

/// The file of a sysctl of ours.
fn path(name: &str) -> Option<PathBuf> {
    if OF_HOST.contains(&name) {
        return Some(path_of_host(name));
    }
    OF_LINK.iter().find_map(|(family, keys)| {
        let rest = name.strip_prefix(&format!("net.{family}.conf."))?;
        let (link, key) = rest.rsplit_once('.')?;
        // A dot of the link's own name is written `/`, so none may be left.
        let link: InterfaceName = (!link.contains('.')).then(|| link.replace('/', "."))?.parse().ok()?;
        keys.contains(&key).then(|| path_of_link(family, &link, key))
    })
}

fn path_of_host(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace('.', "/"))
}

fn path_of_link(family: &str, link: &InterfaceName, key: &str) -> PathBuf {
    let mut path = PathBuf::from("/proc/sys/net");
    path.push(family);
    path.push("conf");
    path.push(OsStr::from_bytes(link.as_bytes()));
    path.push(key);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_sysctls_have_a_file() {
        let cases = [
            ("net.ipv4.ip_forward", Some("/proc/sys/net/ipv4/ip_forward")),
            (
                "net.ipv6.conf.eth0/100.accept_ra",
                Some("/proc/sys/net/ipv6/conf/eth0.100/accept_ra"),
            ),
            (
                "net.ipv4.conf.all.rp_filter",
                Some("/proc/sys/net/ipv4/conf/all/rp_filter"),
            ),
            ("net.ipv4.conf.eth0.forwarding", None),
            ("net.ipv4.conf.eth0/../../x.rp_filter", None),
            ("net.ipv4.conf...rp_filter", None),
            ("net.ipv4.conf.a.b.rp_filter", None),
            ("kernel.panic", None),
        ];
        for (name, expected) in cases {
            let found = path(name);
            assert_eq!(found.as_deref(), expected.map(std::path::Path::new), "{name}");
        }
    }
}
