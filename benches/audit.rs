//! How long `portcullis audit verify` takes beside `sha256sum` over the same file: `cargo bench --bench audit`, with the
//! number of records as an argument (1,000,000 where none is given).
//!
//! Both read the log from the page cache, in turn, several times; the medians and their ratio are printed. The seals are
//! counted and what their signatures cost alone is measured beside it.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use portcullis::model::emergency::Moment;
use portcullis::model::epoch;
use portcullis::model::merkle::{Frontier, leaf};
use portcullis::model::names::Digest;
use portcullis::model::record::{Actor, Draft, EventKind, Peer, Record, seal};
use serde_json::json;

const RECORDS: u64 = 1_000_000;
/// A host in an emergency seals once a minute and records a few dozen events in it.
const RECORDS_A_SEAL: u64 = 50;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let given = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let records = given.unwrap_or(RECORDS);
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("audit.jsonl");
    let last_seal = write_log(&log, records)?;
    let bytes = std::fs::metadata(&log)?.len();
    writeln!(out, "{records} records, {bytes} bytes, a seal every {RECORDS_A_SEAL}")?;

    let (mut sums, mut verifies) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sums.push(timed(Command::new("sha256sum").arg(&log))?);
        let mut verify = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        verifies.push(timed(verify.args(["audit", "verify"]).arg(&log))?);
    }
    let (sum, verify) = (median(sums), median(verifies));
    let signatures = signature_time(&last_seal)? * u32::try_from(records / RECORDS_A_SEAL)?;
    writeln!(out, "sha256sum    {:>9.3} s", sum.as_secs_f64())?;
    writeln!(out, "signatures   {:>9.3} s on one processor", signatures.as_secs_f64())?;
    writeln!(out, "audit verify {:>9.3} s", verify.as_secs_f64())?;
    writeln!(out, "ratio        {:>9.2}", verify.as_secs_f64() / sum.as_secs_f64())?;
    let without = verify.saturating_sub(signatures);
    writeln!(
        out,
        "less signatures {:>6.2}",
        without.as_secs_f64() / sum.as_secs_f64()
    )?;
    Ok(())
}

/// Writes a log as a daemon would, and gives its last seal.
fn write_log(path: &Path, records: u64) -> Result<Record, Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut tree = Frontier::default();
    let mut previous = Digest::zero();
    let mut origin = String::new();
    let mut seals = 0;
    let mut last_seal = None;
    let secret = |epoch: u64| SigningKey::from_bytes(Digest::of(&epoch.to_be_bytes()).as_bytes());
    for sequence in 1..=records {
        let at_ms = sequence * 1_000;
        let moment = Moment {
            boot_id: "9c2f7f0e-5d5e-4c59-8e3f-0a4d5a6b7c8d".to_owned(),
            boottime_ms: at_ms,
            wall_ms: 1_790_000_000_000 + i64::try_from(at_ms)?,
        };
        let draft = if sequence % RECORDS_A_SEAL == 0 {
            seals += 1;
            let next = secret(seals + 1).verifying_key();
            epoch::draft(&tree, &origin, seals, &secret(seals), &next, &moment)
        } else {
            drift(sequence)
        };
        let record = seal(draft, previous, sequence, &moment)?;
        let line = record.line()?;
        if sequence == 1 {
            origin = epoch::origin(record.hash);
        }
        tree.push(leaf(line.strip_suffix(b"\n").unwrap_or(&line)));
        previous = record.hash;
        out.write_all(&line)?;
        if record.event == EventKind::Sealed {
            last_seal = Some(record);
        }
    }
    out.flush()?;
    last_seal.ok_or_else(|| format!("fewer than {RECORDS_A_SEAL} records have no seal").into())
}

/// A request of an operator's that was refused: a record of a usual size.
fn drift(sequence: u64) -> Draft {
    Draft {
        event: EventKind::RequestRefused,
        actor: Actor::Peer(Peer {
            executable: Some("/usr/bin/portcullis".to_owned()),
            gid: 1000,
            groups: vec![4, 27],
            hearsay: Vec::new(),
            login_uid: Some(1000),
            unit: Some("session-4.scope".to_owned()),
            pid: 4242,
            uid: 1000,
            user: Some("operator".to_owned()),
        }),
        emergency: None,
        policy: None,
        details: json!({
            "code": "wrong-state",
            "detail": format!("an emergency that is in-force cannot be marked as restored ({sequence})"),
            "method": "POST",
            "path": "/v1/emergencies",
        }),
    }
}

/// What the signatures of one seal cost.
fn signature_time(seal: &Record) -> Result<Duration, Box<dyn Error>> {
    const TIMES: u32 = 1_000;
    let begun = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(epoch::read(std::hint::black_box(seal))?);
    }
    Ok(begun.elapsed() / TIMES)
}

fn timed(command: &mut Command) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    let status = command.stdout(Stdio::null()).status()?;
    let elapsed = begun.elapsed();
    if !status.success() {
        return Err(format!("{command:?}: {status}").into());
    }
    Ok(elapsed)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
