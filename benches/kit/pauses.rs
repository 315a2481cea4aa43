//! When the machine itself stood still: a virtual one loses its processors for some milliseconds now and then, whatever
//! runs in it, and most of all when it is busy.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_micros(500);
/// Who sleeps and goes before all others is woken so much later only when nothing runs.
const LATE: Duration = Duration::from_millis(1);

/// A thread on each processor that goes before all others and notes when it could not run.
pub struct Watch {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Pause>>>,
}

/// From when until when a processor did nothing.
type Pause = (Instant, Instant);

impl Watch {
    /// None where we may not go before others (that needs root, or CAP_SYS_NICE).
    pub fn begin() -> Option<Watch> {
        let over = Arc::new(AtomicBool::new(false));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let mut watch = Watch { over, threads: Vec::new() };
        for processor in 0..processors {
            let over = watch.over.clone();
            let (ready, told) = std::sync::mpsc::channel();
            watch.threads.push(std::thread::spawn(move || {
                let first = goes_first_on(processor);
                let _ = ready.send(first);
                if first { look(&over) } else { Vec::new() }
            }));
            if !told.recv().unwrap_or(false) {
                watch.end();
                return None;
            }
        }
        Some(watch)
    }

    /// Every pause since the beginning.
    pub fn end(self) -> Vec<Pause> {
        self.over.store(true, Ordering::Relaxed);
        let pauses = self.threads.into_iter().flat_map(|thread| thread.join().expect("a thread"));
        let mut pauses: Vec<Pause> = pauses.collect();
        pauses.sort_unstable();
        pauses
    }
}

/// How much of the time from `began` on was no pause on any processor.
pub fn beside(pauses: &[Pause], began: Instant, took: Duration) -> Duration {
    let ended = began + took;
    let (mut beside, mut at) = (took, began);
    for (from, to) in pauses {
        let (from, to) = ((*from).max(at), (*to).min(ended));
        if from < to {
            beside -= to - from;
            at = to;
        }
    }
    beside
}

fn look(over: &AtomicBool) -> Vec<Pause> {
    let mut pauses = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let due = Instant::now() + LOOK_EVERY;
        sleep(LOOK_EVERY);
        let now = Instant::now();
        if now > due + LATE {
            pauses.push((due, now));
        }
    }
    pauses
}

/// Ties this thread to a processor, where it goes before all others.
fn goes_first_on(processor: usize) -> bool {
    let Ok(path) = std::fs::read_link("/proc/thread-self") else { return false };
    let Some(thread) = path.file_name().and_then(|name| name.to_str()) else { return false };
    run("chrt", &["--fifo", "--pid", "50", thread])
        && run("taskset", &["--cpu-list", "--pid", &processor.to_string(), thread])
}

fn run(tool: &str, words: &[&str]) -> bool {
    let quiet = Command::new(tool).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}
