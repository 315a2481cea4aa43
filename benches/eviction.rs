//! Whether eviction stalls anybody.
//!
//!     cargo bench --bench eviction -- [--results 200000]
//!
//! Fills a store, then starts its daemon with a limit of half of that: more than half of all results go. Meanwhile one
//! client asks for hits over new connections, as fast as they are answered; compared with the same before.

mod kit;

use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, Instant};

use kit::{Daemon, Lab, Project, Times, learn, numbers, us};
use zccache::protocol::message::Content;
use zccache::store::blob::BlobDir;

const BLOB_BYTES: usize = 2048;
const HEADERS: usize = 5;
const SOURCES_MAX: usize = 20_000;
/// Asked for all the time: too new to be evicted.
const HOT: usize = 100;

fn main() {
    println!(
        "   results  phase      answers     p50 us     p99 us   p99.9 us   worst us  over 5 ms"
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
    learn(&daemon, &project, 0..results, &blob);
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
        // A new daemon measures its store first.
        let is_over = client.status().artifact_bytes > limit;
        measured |= is_over;
        is_over || !measured
    });
    print(results, "evicting", &during);
    println!(
        "            evicted to {} of {results} blobs in {:.1} s",
        client.status().artifacts,
        started.elapsed().as_secs_f64()
    );
}

/// Asks for these in turn until `more` says no or the time is over.
fn ask_for(
    daemon: &Daemon,
    frames: &[Vec<u8>],
    limit: Duration,
    mut more: impl FnMut() -> bool,
) -> Vec<Duration> {
    let started = Instant::now();
    let mut times = Vec::new();
    for frame in frames.iter().cycle() {
        if started.elapsed() > limit || !more() {
            break;
        }
        let asked = Instant::now();
        daemon.client().hit(frame);
        times.push(asked.elapsed());
    }
    times
}

fn print(results: usize, phase: &str, times: &[Duration]) {
    let slow = times.iter().filter(|time| **time > Duration::from_millis(5)).count();
    let times = Times::new(times.to_vec());
    println!(
        "{results:10}  {phase:9}  {:8}  {:9.1}  {:9.1}  {:9.1}  {:9.1}  {slow:9}",
        times.len(),
        us(times.part(0.5)),
        us(times.part(0.99)),
        us(times.part(0.999)),
        us(times.worst()),
    );
}
