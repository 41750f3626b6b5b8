//! The command line.

use portcullis::kernel::{Kernel as _, Kinds, netlink::Netlink};
use portcullis::model::snapshot::Snapshot;

/// Lets the command line read the kernel of the network namespace that it stands in.
struct Here;

impl portcullis::cli::Local for Here {
    fn snapshot(&self) -> Result<Snapshot, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Netlink::open()?.snapshot(Kinds::ALL)?)
    }
}

fn main() -> std::process::ExitCode {
    portcullis::cli::main(&Here)
}
