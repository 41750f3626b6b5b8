//! Links, addresses, neighbours, sysctls.

use std::fmt;

use super::Text;
use super::words::{BitNames, Mac, Rest, Word, attributes, bits, family_option, optional, scope, unnamed_bits};
use crate::model::object::{Address, Family, Link, LinkAbroad, Neighbour, Sysctl};

/// IFF_* but IFF_UP, which [`Link::up`] holds (`include/uapi/linux/if.h`).
const LINK_FLAGS: &BitNames = &[
    (0x2, "BROADCAST"),
    (0x8, "LOOPBACK"),
    (0x10, "POINTOPOINT"),
    (0x80, "NOARP"),
    (0x100, "PROMISC"),
    (0x200, "ALLMULTI"),
    (0x400, "MASTER"),
    (0x800, "SLAVE"),
    (0x1000, "MULTICAST"),
];

impl fmt::Display for Text<'_, Link> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, item: link } = *self;
        write!(f, "{}: {}: <", link.index, link.name)?;
        for (bit, name) in LINK_FLAGS {
            if link.flags & bit != 0 {
                write!(f, "{name},")?;
            }
        }
        match unnamed_bits(link.flags, LINK_FLAGS) {
            0 => {}
            rest => write!(f, "{rest:#x},")?,
        }
        f.write_str(if link.up { "UP>" } else { "DOWN>" })?;
        write!(f, " mtu {} group {}", link.mtu, link.group)?;
        optional(f, "master", link.master.map(|m| names.dev(m)))?;
        optional(f, "link", link.lower.map(|l| names.dev(l)))?;
        if let Some(LinkAbroad { index, netns }) = link.lower_abroad {
            write!(f, " link if{index} link-netnsid {netns}")?;
        }
        optional(f, "address", Mac::some(&link.mac))?;
        optional(f, "type", link.kind.as_deref().map(|k| Word(k.as_bytes())))?;
        link.altnames.iter().try_for_each(|n| write!(f, " altname {n}"))
    }
}

/// IFA_F_* (`include/uapi/linux/if_addr.h`), but for the first bit, whose name depends on the family.
const ADDRESS_FLAGS: &BitNames = &[
    (0x2, "nodad"),
    (0x4, "optimistic"),
    (0x8, "dadfailed"),
    (0x10, "home"),
    (0x20, "deprecated"),
    (0x40, "tentative"),
    (0x80, "permanent"),
    (0x100, "mngtmpaddr"),
    (0x200, "noprefixroute"),
    (0x400, "autojoin"),
    (0x800, "stable-privacy"),
];

impl fmt::Display for Text<'_, Address> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.item.family {
            Family::V4 => "inet ",
            Family::V6 => "inet6 ",
        })?;
        self.body(f)
    }
}

impl Text<'_, Address> {
    /// What stands behind the family, and behind `ip addr add`.
    pub(super) fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, item: a } = *self;
        // The usual form is both attributes and equal for IPv4, IFA_ADDRESS alone for IPv6.
        let usual = match a.family {
            Family::V4 => a.local == Some(a.address),
            Family::V6 => a.local.is_none(),
        };
        match a.local {
            _ if usual => {}
            Some(local) => write!(f, "{local} peer ")?,
            None => f.write_str("peer ")?,
        }
        write!(f, "{}/{}", a.address, a.prefix_length)?;
        optional(f, "brd", a.broadcast)?;
        write!(f, " dev {} scope {}", names.dev(a.link), scope(a.scope))?;
        optional(f, "label", a.label.as_deref().map(Word))?;
        if a.flags & Address::FLAG_TEMPORARY != 0 {
            f.write_str(match a.family {
                Family::V4 => " secondary",
                Family::V6 => " temporary",
            })?;
        }
        bits(f, a.flags & !Address::FLAG_TEMPORARY, ADDRESS_FLAGS)?;
        f.write_str(if a.permanent { " valid_lft forever" } else { " dynamic" })?;
        attributes(f, "attr", &a.extra)
    }
}

/// NTF_* (`include/uapi/linux/neighbour.h`).
const NEIGHBOUR_FLAGS: &BitNames = &[
    (0x1, "use"),
    (0x2, "self"),
    (0x4, "master"),
    (0x8, "proxy"),
    (0x10, "extern_learn"),
    (0x20, "offload"),
    (0x40, "sticky"),
    (0x80, "router"),
];

impl fmt::Display for Text<'_, Neighbour> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(family_option(self.item.family))?;
        self.body(f)
    }
}

impl Text<'_, Neighbour> {
    /// What stands behind `ip neigh add`.
    pub(super) fn body(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, item: n } = *self;
        write!(f, "{} dev {}", n.address, names.dev(n.link))?;
        optional(f, "lladdr", Mac::some(&n.mac))?;
        bits(f, n.flags.into(), NEIGHBOUR_FLAGS)?;
        match n.state {
            0 => {}
            0x40 => f.write_str(" NOARP")?,
            0x80 => f.write_str(" PERMANENT")?,
            state => write!(f, " nud {state:#x}")?,
        }
        attributes(f, "attr", &n.extra)
    }
}

impl fmt::Display for Text<'_, Sysctl> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sysctl { name, value } = self.item;
        write!(f, "{} = {}", Word(name.as_bytes()), Rest(value.as_bytes()))
    }
}
