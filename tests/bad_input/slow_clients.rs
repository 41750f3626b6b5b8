//! Clients that say half of what they have to say.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::world::state::{assert_same, state};
use crate::world::wait_until;
use crate::{LONG_MS, home, host, world};

#[test]
fn slow_clients_at_once_hold_up_no_revert() {
    world::inside("slow_clients::slow_clients_at_once_hold_up_no_revert", |world| {
        let (host, home) = (host(world), home());
        let daemon = home.start(&host);
        let before = state(&host);
        let id = daemon.declare("additive", LONG_MS)["id"].as_str().unwrap().to_owned();
        let slow: Vec<UnixStream> = (0..64)
            .filter_map(|number: usize| {
                let mut stream = UnixStream::connect(home.socket()).ok()?;
                let half: &[u8] = if number.is_multiple_of(2) {
                    b"POST /v1/emergencies HTTP/1.1\r\nHost: loc"
                } else {
                    b"POST /v1/emergencies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
                };
                // One beyond the limit may find the door shut.
                stream.write_all(half).ok().map(|()| stream)
            })
            .collect();
        assert!(slow.len() >= 16, "only {} were let in", slow.len());
        // All of them are of the same user as the operator: the worst case. They are dropped by the time-out for heads.
        let begun = Instant::now();
        wait_until("the revert went through", Duration::from_secs(15), || {
            let said = home.cli(&host, &["revert", &id]);
            assert!(matches!(said.exit, Some(0 | 1 | 4)), "{said:?}");
            said.exit == Some(0)
        });
        println!("reverted {:?} after {} slow clients came", begun.elapsed(), slow.len());
        assert_same(&before, &state(&host));
        drop(slow);
        daemon.stop();
    });
}
