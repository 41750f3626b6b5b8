//! Watches the kernel on a thread of its own and rings when something changed.
//!
//! It only rings: the controller reads what is there. A lost subscription is renewed; while there is none, it rings once
//! a second, so that the comparison still takes place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use crate::kernel::{Kernel, Seen, Watch};

/// How long one wait lasts, and so how late the thread sees that it is to end.
const WAIT: Duration = Duration::from_millis(200);
/// The pause before a lost subscription is renewed.
const RENEW: Duration = Duration::from_secs(1);

/// The running watch; ends when dropped.
#[derive(Debug)]
pub struct Monitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Monitor {
    /// Subscribes through `kernel` and rings `bell` from then on.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(kernel: impl Kernel + 'static, bell: Arc<Notify>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("monitor".to_owned())
            .spawn(move || run(kernel, &bell, &seen))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the monitor thread had panicked, ignoring");
        }
    }
}

fn run(mut kernel: impl Kernel, bell: &Notify, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match kernel.watch() {
            Ok(watch) => follow(watch, bell, stop),
            Err(error) => warn!(%error, "no subscription to kernel events, comparing once a second"),
        }
        if !stop.load(Ordering::Relaxed) {
            bell.notify_one();
            std::thread::sleep(RENEW);
        }
    }
}

fn follow(mut watch: Box<dyn Watch>, bell: &Notify, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        match watch.wait(WAIT) {
            Ok(Seen::Changed | Seen::Overrun) => bell.notify_one(),
            Ok(Seen::Nothing) => {}
            Err(error) => {
                warn!(%error, "the subscription to kernel events is lost, renewing it");
                return;
            }
        }
    }
}
