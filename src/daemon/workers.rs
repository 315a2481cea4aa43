//! Two small pools: one answers questions, one finishes compiles. They are apart because a
//! question may wait for a compile that is being finished.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::sys::priority::take_on;
use crate::terms::priority::Priority;

/// Gets its own number: jobs are numbered as they are begun.
type Job = Box<dyn FnOnce(u64) + Send>;

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closing: bool,
    /// How many were begun; the numbers of those that run.
    begun: u64,
    running: Vec<u64>,
}

#[derive(Default)]
struct Queue {
    jobs: Mutex<Jobs>,
    filled: Condvar,
    ended: Condvar,
}

/// Threads that take jobs from one queue.
pub(super) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// Not in the queue yet, in order, and when they are to be.
    later: VecDeque<(Instant, Job)>,
}

/// By then a process that is about to end has ended, and its processor is free.
const SOON: Duration = Duration::from_millis(1);

/// Query output and walks need little; the compiler's own stack is not here.
const STACK_BYTES: usize = 2 << 20;

impl Workers {
    pub(super) fn start(name: &str, count: usize) -> std::io::Result<Workers> {
        let queue = Arc::new(Queue::default());
        let mut threads = Vec::new();
        for _ in 0..count {
            let queue = queue.clone();
            let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
            threads.push(builder.spawn(move || work(&queue))?);
        }
        Ok(Workers { queue, threads, later: VecDeque::new() })
    }

    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        self.add(Box::new(move |_| job()));
    }

    fn add(&self, job: Job) {
        self.queue.jobs.lock().waiting.push_back(job);
        self.queue.filled.notify_one();
    }

    /// A job that may begin a millisecond from now: see `give_due`.
    pub(super) fn give_soon(&mut self, job: impl FnOnce() + Send + 'static) {
        self.later.push_back((Instant::now() + SOON, Box::new(move |_| job())));
    }

    /// When `give_due` is to be called.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.later.front().map(|(due, _)| due.saturating_duration_since(Instant::now()))
    }

    /// Lets those jobs begin that have been put off for long enough.
    pub(super) fn give_due(&mut self) {
        while self.due_in() == Some(Duration::ZERO)
            && let Some((_, job)) = self.later.pop_front()
        {
            self.add(job);
        }
    }

    /// Lets all jobs begin that were put off: somebody waits for them.
    pub(super) fn give_all(&mut self) {
        while let Some((_, job)) = self.later.pop_front() {
            self.add(job);
        }
    }

    /// A job that begins when all jobs given before it have ended.
    pub(super) fn after_all(&mut self, job: impl FnOnce() + Send + 'static) {
        self.give_all();
        let queue = self.queue.clone();
        self.add(Box::new(move |own| {
            let mut jobs = queue.jobs.lock();
            while jobs.running.iter().any(|number| *number < own) {
                queue.ended.wait(&mut jobs);
            }
            drop(jobs);
            job();
        }));
    }

    /// Lets the queued jobs end, then the threads.
    pub(super) fn finish(mut self) {
        self.give_all();
        self.queue.jobs.lock().closing = true;
        self.queue.filled.notify_all();
        for thread in self.threads {
            // A job's panic was caught; the thread itself has none.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Queue) {
    loop {
        let (number, job) = {
            let mut jobs = queue.jobs.lock();
            loop {
                if let Some(job) = jobs.waiting.pop_front() {
                    jobs.begun += 1;
                    let number = jobs.begun;
                    jobs.running.push(number);
                    break (number, job);
                }
                if jobs.closing {
                    return;
                }
                queue.filled.wait(&mut jobs);
            }
        };
        if catch_unwind(AssertUnwindSafe(|| job(number))).is_err() {
            log::error!("a worker's job panicked; its client falls back to the compiler");
        }
        queue.jobs.lock().running.retain(|other| *other != number);
        queue.ended.notify_all();
    }
}

/// Does a job that nobody waits for in a thread of its own, which gives way to all others: it may take seconds of a processor.
pub(super) fn aside(name: &str, job: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let job = move || {
        let _ = Priority::Low.niceness(|| true).map(take_on);
        job();
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(job).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_job_can_wait_for_those_before_it() {
        let mut workers = Workers::start("test", 2).unwrap();
        let ended = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for round in 0..5 {
            for _ in 0..3 {
                let ended = ended.clone();
                workers.give(move || {
                    std::thread::sleep(Duration::from_millis(3));
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
            for _ in 0..2 {
                let (ended, seen) = (ended.clone(), seen.clone());
                workers.after_all(move || {
                    seen.lock().push((round, ended.load(Ordering::SeqCst)));
                });
            }
        }
        workers.finish();
        let seen = seen.lock();
        assert_eq!(seen.len(), 10);
        assert!(seen.iter().all(|(round, ended)| *ended >= (round + 1) * 3), "{seen:?}");
    }

    #[test]
    fn what_was_put_off_is_done_all_the_same() {
        let mut workers = Workers::start("test", 1).unwrap();
        let done = Arc::new(AtomicUsize::new(0));
        let count = || {
            let done = done.clone();
            move || {
                done.fetch_add(1, Ordering::SeqCst);
            }
        };
        assert_eq!(workers.due_in(), None);
        workers.give_soon(count());
        assert!(workers.due_in().unwrap() <= SOON);
        std::thread::sleep(SOON);
        workers.give_soon(count());
        workers.give_due();
        assert!(workers.later.len() < 2, "the first is due");
        let (seen, before) = (Arc::new(AtomicUsize::new(0)), done.clone());
        let see = seen.clone();
        workers.after_all(move || see.store(before.load(Ordering::SeqCst), Ordering::SeqCst));
        workers.give_soon(count());
        workers.finish();
        assert_eq!((seen.load(Ordering::SeqCst), done.load(Ordering::SeqCst)), (2, 3));
    }
}
