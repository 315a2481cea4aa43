//! Two small pools: one answers questions, one finishes compiles. They are apart because a
//! question may wait for a compile that is being finished.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: Mutex<(VecDeque<Job>, bool)>,
    filled: Condvar,
}

/// Threads that take jobs from one queue.
pub(super) struct Workers {
    queue: Arc<Queue>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

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
        Ok(Workers { queue, threads })
    }

    pub(super) fn give(&self, job: impl FnOnce() + Send + 'static) {
        self.queue.jobs.lock().0.push_back(Box::new(job));
        self.queue.filled.notify_one();
    }

    /// Lets the queued jobs end, then the threads.
    pub(super) fn finish(self) {
        self.queue.jobs.lock().1 = true;
        self.queue.filled.notify_all();
        for thread in self.threads {
            // A job's panic was caught; the thread itself has none.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Queue) {
    loop {
        let job = {
            let mut jobs = queue.jobs.lock();
            loop {
                if let Some(job) = jobs.0.pop_front() {
                    break job;
                }
                if jobs.1 {
                    return;
                }
                queue.filled.wait(&mut jobs);
            }
        };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            log::error!("a worker's job panicked; its client falls back to the compiler");
        }
    }
}
