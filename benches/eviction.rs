//! Whether eviction stalls anybody.
//!
//!     cargo bench --bench eviction -- [--results 200000]
//!
//! Fills a store, then starts its daemon with a limit of half of that: more than half of all results go. Meanwhile one
//! client asks for hits over new connections, as fast as they are answered; compared with the same before. Of those that
//! waited long, the last column is how many did so while no processor of the machine had stopped (`kit::pauses`).

mod kit;

use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use kit::{Daemon, Lab, Project, Times, learn, numbers, pauses, us};
use zccache::protocol::message::Content;
use zccache::store::blob::BlobDir;

const BLOB_BYTES: usize = 2048;
const HEADERS: usize = 5;
const SOURCES_MAX: usize = 20_000;
/// Asked for all the time: too new to be evicted.
const HOT: usize = 100;
const LONG: Duration = Duration::from_millis(5);
/// By then a new daemon knows the size of its store.
const MEASURED_WITHIN: Duration = Duration::from_secs(20);

fn main() {
    println!(
        "   results  phase      answers     p50 us     p99 us   p99.9 us   worst us  over 5 ms  by us"
    );
    for results in numbers("results", &[200_000]) {
        measure(results);
    }
}

fn measure(results: usize) {
    let lab = Lab::new("eviction");
    let project = Project::make(lab.folder.join("project"), results.min(SOURCES_MAX), HEADERS);
    let (daemon, _) = lab.daemon("40G");
    let blobs = BlobDir::new(lab.root().as_os_str().as_bytes());
    let blob = |n: usize| {
        let mut bytes = vec![b'.'; BLOB_BYTES];
        bytes[..8].copy_from_slice(&(n as u64).to_le_bytes());
        let (id, size, stat) = blobs.take_bytes(&bytes, 0o644).expect("a blob");
        Content::Blob { id, size, seen: Some(stat) }
    };
    learn(&daemon, &project, 0..results - HOT, &blob);
    // The last use is known by the second.
    std::thread::sleep(Duration::from_secs(2));
    learn(&daemon, &project, results - HOT..results, &blob);
    let hot: Vec<Vec<u8>> = (results - HOT..results).map(|n| project.request(n)).collect();

    let before = ask_for(&daemon, &hot, Duration::from_secs(2), || true);
    print(results, "before", &before);
    daemon.stop();
    let limit = results as u64 * BLOB_BYTES as u64 / 2;
    let (daemon, _) = lab.daemon(&limit.to_string());
    // The first answer to each waits for the index, and looks at all its files.
    hot.iter().for_each(|frame| daemon.client().hit(frame));
    let mut client = daemon.client();
    let started = Instant::now();
    let (mut asked, mut measured) = (0, false);
    let during = ask_for(&daemon, &hot, Duration::from_secs(600), || {
        asked += 1;
        if asked % 256 != 0 {
            return true;
        }
        // A new daemon measures its store first. A small one may be emptied before we look.
        let is_over = client.status().artifact_bytes > limit;
        measured |= is_over || started.elapsed() > MEASURED_WITHIN;
        is_over || !measured
    });
    print(results, "evicting", &during);
    println!(
        "            evicted to {} of {results} blobs in {:.1} s",
        client.status().artifacts,
        started.elapsed().as_secs_f64()
    );
}

/// The times of answers.
struct Waits {
    all: Vec<Duration>,
    /// Those that took long, and how many of them did so by themselves; None where that can't be told.
    long: usize,
    by_us: Option<usize>,
}

/// Asks for these in turn until `more` says no or the time is over.
fn ask_for(
    daemon: &Daemon,
    frames: &[Vec<u8>],
    limit: Duration,
    mut more: impl FnMut() -> bool,
) -> Waits {
    let watch = pauses::Watch::begin();
    let started = Instant::now();
    let (mut all, mut long) = (Vec::new(), Vec::new());
    for frame in frames.iter().cycle() {
        if started.elapsed() > limit || !more() {
            break;
        }
        let asked = Instant::now();
        daemon.client().hit(frame);
        let took = asked.elapsed();
        all.push(took);
        if took > LONG {
            long.push((asked, took));
        }
    }
    let pauses = watch.map(pauses::Watch::end);
    let by_us = |pauses: Vec<_>| {
        let own = long.iter().filter(|(asked, took)| pauses::beside(&pauses, *asked, *took) > LONG);
        own.count()
    };
    Waits { by_us: pauses.map(by_us), long: long.len(), all }
}

fn print(results: usize, phase: &str, waits: &Waits) {
    let times = Times::new(waits.all.clone());
    println!(
        "{results:10}  {phase:9}  {:8}  {:9.1}  {:9.1}  {:9.1}  {:9.1}  {:9}  {:>5}",
        times.len(),
        us(times.part(0.5)),
        us(times.part(0.99)),
        us(times.part(0.999)),
        us(times.worst()),
        waits.long,
        waits.by_us.map_or("?".to_owned(), |count| count.to_string()),
    );
}
