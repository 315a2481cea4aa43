//! Whether the cost of a unit stays flat as projects grow.
//!
//!     cargo bench --bench scale -- [--units 100,1000,10000] [--headers 10,100,1000] [--at 100]
//!
//! Generated projects: more and more units of `--at` headers, then `--at` units of more and more
//! headers. For each unit: the daemon's CPU time for a miss (all its threads; no compiler runs),
//! for a hit that has to be verified, for a warm hit, and its memory.

mod kit;

use std::time::Duration;

use kit::{Daemon, Lab, Project, learn, numbers, us};
use zccache::protocol::message::Content;

fn main() {
    let at = numbers("at", &[100])[0];
    println!("CPU time of the daemon for each unit");
    println!("     units  headers    miss us   first us    warm us  us/header  memory KiB");
    for units in numbers("units", &[100, 1_000, 10_000]) {
        measure(units, at);
    }
    for headers in numbers("headers", &[10, 100, 1_000]) {
        measure(at, headers);
    }
}

fn measure(units: usize, headers: usize) {
    let lab = Lab::new("scale");
    let project = Project::make(lab.folder.join("project"), units, headers);
    let (daemon, _) = lab.daemon("40G");
    // The compiler itself and the first look at the system's folders cost once, not for each unit.
    let warm_up = Project::make(lab.folder.join("other"), 1, 1);
    learn(&daemon, &warm_up, 0..1, &object);
    let memory = daemon.memory();
    let miss = spent(&daemon, units, || learn(&daemon, &project, 0..units, &object));
    let hits = || {
        let mut client = daemon.client();
        (0..units).for_each(|n| client.hit(&project.request(n)));
    };
    let warm = spent(&daemon, units, hits);
    let memory = daemon.memory().saturating_sub(memory) / units as u64;
    daemon.stop();
    let (daemon, _) = lab.daemon("40G");
    daemon.client().hit(&warm_up.request(0));
    let first = spent(&daemon, units, || {
        let mut client = daemon.client();
        (0..units).for_each(|n| client.hit(&project.request(n)));
    });
    println!(
        "{units:10} {headers:8}  {:9.0}  {:9.0}  {:9.1}  {:9.2}  {:10.1}",
        us(miss),
        us(first),
        us(warm),
        us(miss) / headers as f64,
        memory as f64 / 1024.0,
    );
}

/// CPU time of the daemon while this runs, for each unit.
fn spent(daemon: &Daemon, units: usize, work: impl FnOnce()) -> Duration {
    let before = daemon.cpu().1;
    work();
    (daemon.cpu().1 - before) / units as u32
}

fn object(n: usize) -> Content {
    Content::Inline(format!("object {n}").into_bytes())
}
