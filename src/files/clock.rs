//! Whether the system clock was set back. A stat proves content because whatever is written later gets a
//! later time; a clock that was set back gives the same times once more, and then it proves nothing.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use serde::{Deserialize, Serialize};

/// What the clocks said at some moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Which start of the system it was.
    boot: String,
    /// The wall clock before the one that nobody sets.
    ahead_ns: i64,
    wall_ns: i64,
}

impl Stamp {
    pub fn now() -> Stamp {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let steady = rustix::time::clock_gettime(ClockId::Boottime);
        let wall_ns = crate::terms::now::now_stat_ns();
        let steady_ns = steady.tv_sec.saturating_mul(1_000_000_000).saturating_add(steady.tv_nsec);
        Stamp { boot, ahead_ns: wall_ns - steady_ns, wall_ns }
    }

    /// Whether stats that proved something at this moment still do at that later one. A clock that was
    /// set back in between, and forth again by the same amount, is not noticed.
    pub fn vouches_until(&self, later: &Stamp) -> bool {
        // Between asking the one clock and the other; steps that matter are those of more than two
        // seconds (`FileStat::settled_at`).
        const SLACK_NS: i64 = 500_000_000;
        if self.boot == later.boot && !self.boot.is_empty() {
            (later.ahead_ns - self.ahead_ns).abs() < SLACK_NS
        } else {
            later.wall_ns >= self.wall_ns
        }
    }
}

/// A descriptor that becomes readable when the clock is set.
pub(super) fn descriptor() -> io::Result<OwnedFd> {
    let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
    let timer = timerfd_create(TimerfdClockId::Realtime, flags)?;
    arm(&timer)?;
    Ok(timer)
}

/// Takes note of a setting; the next one will be told again.
pub(super) fn heard(timer: &OwnedFd) {
    // The answer is the error that says so.
    let _ = rustix::io::read(timer, &mut [0; 8]);
    let _ = arm(timer);
}

fn arm(timer: &OwnedFd) -> io::Result<()> {
    // A time that nobody lives to see: only setting the clock ends the wait.
    let never = Timespec { tv_sec: 9_000_000_000, tv_nsec: 0 };
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    let when = Itimerspec { it_interval: none, it_value: never };
    let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
    timerfd_settime(timer, flags, &when)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(boot: &str, ahead_s: i64, wall_s: i64) -> Stamp {
        let ns = 1_000_000_000;
        Stamp { boot: boot.to_owned(), ahead_ns: ahead_s * ns, wall_ns: wall_s * ns }
    }

    #[test]
    fn a_clock_that_was_set_is_noticed() {
        let before = stamp("a", 100, 5000);
        assert!(before.vouches_until(&stamp("a", 100, 6000)));
        assert!(!before.vouches_until(&stamp("a", 97, 5100)));
        // Forth is not back, but it may have been both.
        assert!(!before.vouches_until(&stamp("a", 200, 6000)));
        assert!(before.vouches_until(&stamp("b", 5900, 6000)));
        assert!(!before.vouches_until(&stamp("b", 100, 4999)));
        assert!(!stamp("", 100, 5000).vouches_until(&stamp("", 90, 4990)));
        let now = Stamp::now();
        assert!(!now.boot.is_empty() && now.vouches_until(&Stamp::now()));
    }

    #[test]
    fn the_descriptor_is_silent_while_nobody_sets_the_clock() {
        use rustix::event::{PollFd, PollFlags, poll};
        let timer = descriptor().unwrap();
        heard(&timer);
        let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(poll(&mut [PollFd::new(&timer, PollFlags::IN)], Some(&zero)), Ok(0));
    }
}
