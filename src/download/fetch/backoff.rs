//! Pauses between tries.

use std::thread;
use std::time::{Duration, Instant};

/// Tries in a row that bring nothing, before a server is given up.
const TRIES: u32 = 6;
/// Longer and longer pauses between tries that bring nothing.
#[derive(Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(60);

    /// Waits before the next try, as long as the server asked for where it did. False: there is
    /// none, or it is `over`.
    pub(super) fn wait(&mut self, after: Option<Duration>, over: &dyn Fn() -> bool) -> bool {
        self.tries += 1;
        if self.tries >= TRIES {
            return false;
        }
        let base = Duration::from_millis(150) * 2u32.pow(self.tries);
        // Not all at once again.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let jitter = now.map_or(0, |now| now.subsec_nanos()) % 100;
        let pause = after.unwrap_or(base + base * jitter / 200).min(Backoff::LONGEST);
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if over() {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    }
}
