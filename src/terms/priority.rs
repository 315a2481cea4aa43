//! The priority that compilers run at.

use serde::{Deserialize, Serialize};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Niceness(pub i8);

pub const LOW: Niceness = Niceness(10);
pub const IDLE: Niceness = Niceness(19);
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
}
