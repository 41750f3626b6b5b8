//! Where the kernel would send a packet: a question to its rules and tables, and the answer.

use std::net::IpAddr;

use super::object::Family;

/// A packet as routing sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Query {
    /// Where it comes from; none where the host itself is to choose.
    pub source: Option<IpAddr>,
    /// Where it goes.
    pub destination: IpAddr,
    /// The link that it came in over; none for one that the host sends.
    pub input: Option<u32>,
    /// The transport protocol's number, for rules that ask for it.
    pub protocol: Option<u8>,
    /// Source and destination port.
    pub ports: Option<(u16, u16)>,
}

impl Query {
    /// What the host itself sends to an address, with nothing more known.
    #[must_use]
    pub fn to(destination: IpAddr) -> Self {
        Self {
            source: None,
            destination,
            input: None,
            protocol: None,
            ports: None,
        }
    }

    /// The family of both addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(self.destination)
    }
}

/// The kernel's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To this host.
    Local,
    /// Out over a link.
    Out {
        /// Its index.
        link: u32,
        /// The source address that the kernel chose.
        source: Option<IpAddr>,
    },
    /// Nowhere: no route, or one that refuses.
    Nowhere,
}
