//! Which script made a check: its `mark-success` must not vouch for what another script,
//! working on the same cache file, has checked meanwhile.

use serde::{Deserialize, Serialize};

/// The process that ran `check`, told from later ones of the same number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pid: i32,
    /// In clock ticks since the machine started.
    started: u64,
    /// Which start of which machine.
    boot: String,
}

/// How an owner stands to the calling process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kinship {
    /// Our parent, or one of its parents.
    Ours,
    /// It has ended, or lives on another machine.
    Gone,
    /// Another script that still runs.
    Other,
}

impl Owner {
    /// The process that called us.
    pub fn caller() -> Owner {
        Owner::of(parent())
    }

    pub(super) fn of(pid: i32) -> Owner {
        Owner { pid, started: about(pid).map_or(0, |about| about.started), boot: boot() }
    }

    pub fn kinship(&self) -> Kinship {
        if self.boot != boot() || about(self.pid).is_none_or(|now| now.started != self.started) {
            return Kinship::Gone;
        }
        let mut pid = parent();
        while pid > 0 {
            if pid == self.pid {
                return Kinship::Ours;
            }
            pid = about(pid).map_or(0, |about| about.parent);
        }
        Kinship::Other
    }
}

/// 0 when it lives outside our namespace.
fn parent() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

struct About {
    parent: i32,
    started: u64,
}

/// What the kernel says of a process. None when there is none, or one that has ended and
/// only waits to be collected.
fn about(pid: i32) -> Option<About> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain anything, so begin after its end.
    let after = text.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&text[after..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    Some(About { parent: fields.get(1)?.parse().ok()?, started: fields.get(19)?.parse().ok()? })
}

fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    // Numbers of processes mean something within one namespace only.
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", id.trim(), space.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kin() {
        let caller = Owner::caller();
        assert_eq!(caller.kinship(), Kinship::Ours);
        let grandparent = about(caller.pid).unwrap().parent;
        if grandparent > 0 {
            assert_eq!(Owner::of(grandparent).kinship(), Kinship::Ours);
        }
        let own = std::process::id() as i32;
        assert_eq!(Owner::of(own).kinship(), Kinship::Other);
        assert_eq!(Owner { started: 1, ..caller.clone() }.kinship(), Kinship::Gone);
        assert_eq!(Owner { boot: String::new(), ..caller }.kinship(), Kinship::Gone);
    }
}
