//! The priority that compilers run at.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};

use crate::terms::priority::Niceness;

/// Gives a niceness to this thread, and so to what it starts from now on. One that was asked to
/// give way more already (`nice make`) stays there. Fails where the system does not allow it.
pub fn take_on(niceness: Niceness) -> io::Result<()> {
    let now = getpriority_process(None)?;
    let wanted = i32::from(niceness.0);
    let wanted = if wanted > 0 { now.max(wanted) } else { now.min(wanted) };
    if wanted != now {
        setpriority_process(None, wanted)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::priority::{IDLE, LOW};

    #[test]
    fn it_only_ever_gives_way_more() {
        let inherited = getpriority_process(None).unwrap();
        take_on(LOW).unwrap();
        let low = getpriority_process(None).unwrap();
        assert_eq!(low, inherited.max(10));
        take_on(IDLE).unwrap();
        take_on(LOW).unwrap();
        assert_eq!(getpriority_process(None).unwrap(), 19);
    }
}
