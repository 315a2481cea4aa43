//! The priority that compilers run at.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};

/// What `ZCCACHE_COMPILE_PRIORITY` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Normal while the processors have room, else low.
    #[default]
    Auto,
    Low,
    /// As inherited.
    Normal,
    Idle,
    High,
}

/// A niceness that is not the inherited one: positive gives way, negative pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Niceness(i8);

const LOW: Niceness = Niceness(10);
const IDLE: Niceness = Niceness(19);
const HIGH: Niceness = Niceness(-5);

impl Priority {
    /// The words understood.
    pub const ALLOWED: &str = "auto, low, normal, idle or high";

    /// None for another word.
    pub fn parse(text: &[u8]) -> Option<Priority> {
        match text {
            b"auto" => Some(Priority::Auto),
            b"low" => Some(Priority::Low),
            b"normal" => Some(Priority::Normal),
            b"idle" => Some(Priority::Idle),
            b"high" => Some(Priority::High),
            _ => None,
        }
    }

    /// None: as inherited. `saturated` is asked only where it matters.
    pub fn niceness(self, saturated: impl FnOnce() -> bool) -> Option<Niceness> {
        match self {
            Priority::Auto => saturated().then_some(LOW),
            Priority::Low => Some(LOW),
            Priority::Normal => None,
            Priority::Idle => Some(IDLE),
            Priority::High => Some(HIGH),
        }
    }
}

impl Niceness {
    /// Gives it to this thread, and so to what it starts from now on. One that was asked to
    /// give way more already (`nice make`) stays there. Fails where the system does not
    /// allow it.
    pub fn take_on(self) -> io::Result<()> {
        let now = getpriority_process(None)?;
        let wanted = i32::from(self.0);
        let wanted = if wanted > 0 { now.max(wanted) } else { now.min(wanted) };
        if wanted != now {
            setpriority_process(None, wanted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_means() {
        let never = || panic!("asked in vain");
        assert_eq!(Priority::Auto.niceness(|| true), Some(Niceness(10)));
        assert_eq!(Priority::Auto.niceness(|| false), None);
        assert_eq!(Priority::Normal.niceness(never), None);
        assert_eq!(Priority::parse(b"idle").unwrap().niceness(never), Some(Niceness(19)));
        assert_eq!(Priority::parse(b"high").unwrap().niceness(never), Some(Niceness(-5)));
        assert_eq!(Priority::parse(b"Low"), None);
    }

    #[test]
    fn it_only_ever_gives_way_more() {
        let inherited = getpriority_process(None).unwrap();
        LOW.take_on().unwrap();
        let low = getpriority_process(None).unwrap();
        assert_eq!(low, inherited.max(10));
        IDLE.take_on().unwrap();
        LOW.take_on().unwrap();
        assert_eq!(getpriority_process(None).unwrap(), 19);
    }
}
