//! What answers cost the daemon: hits a second on one core, their times, its start.
//!
//!     cargo bench --bench answers -- [--results 1000,100000] [--answers 100000]
//!
//! For each number of known results: hits over a new connection each, as wrappers ask, from one client and
//! from eight at once, and over one connection that is kept; the CPU time that the answering thread used for each, and what one core could answer
//! in a second; times as the client sees them. Then the daemon is started anew: until it listens, until
//! the first hit, and the hits after that, each of which has to be verified once.

mod kit;

use std::time::{Duration, Instant};

use kit::{Answered, Daemon, Lab, Project, Times, learn, numbers, shuffled, us};
use zccache::protocol::message::Content;

/// Sources on the disk; more results are the same sources with another macro.
const SOURCES_MAX: usize = 20_000;
const HEADERS: usize = 20;
/// The daemon gives memory back that it does not use any more.
const UNTIL_AT_REST: Duration = Duration::from_secs(17);
/// Of the time before figures are taken.
const WARM_UP: usize = 2_000;

fn main() {
    let answers = numbers("answers", &[100_000])[0];
    println!("{HEADERS} headers each, {answers} answers each line");
    println!(
        "   results  connection  us CPU  answers/s/core     p50 us     p99 us   p99.9 us   worst us"
    );
    for results in numbers("results", &[1_000, 100_000]) {
        let lab = Lab::new("answers");
        let project = Project::make(lab.folder.join("project"), results.min(SOURCES_MAX), HEADERS);
        let (daemon, _) = lab.daemon("40G");
        let started = Instant::now();
        learn(&daemon, &project, 0..results, &|n| {
            Content::Inline(format!("object {n}").into_bytes())
        });
        let learned = started.elapsed();
        for asking in [Asking::New, Asking::Crowd(8), Asking::Kept] {
            measure(&daemon, &project, results, answers, asking);
        }
        let status = daemon.client().status();
        let memory = daemon.memory();
        std::thread::sleep(UNTIL_AT_REST);
        println!(
            "            learned in {:.1} s, {:.0} us each; memory {:.1} MiB, at rest {:.1}, {:.2} KiB each; {} hits counted",
            learned.as_secs_f64(),
            us(learned) / results as f64,
            mib(memory),
            mib(daemon.memory()),
            daemon.memory() as f64 / 1024.0 / results as f64,
            status.counters.hits,
        );
        daemon.stop();
        restart(&lab, &project, results);
    }
}

/// How clients ask.
#[derive(Clone, Copy)]
enum Asking {
    /// One after the other, each over a new connection, as wrappers do.
    New,
    /// This many at once, each over a new connection: the daemon never rests.
    Crowd(usize),
    /// One after the other over one connection.
    Kept,
}

fn measure(daemon: &Daemon, project: &Project, results: usize, answers: usize, asking: Asking) {
    let clients = if let Asking::Crowd(clients) = asking { clients } else { 1 };
    let ask_for = |count: usize| {
        let mut kept = matches!(asking, Asking::Kept).then(|| daemon.client());
        let ask = |n: usize| {
            let frame = match kept {
                Some(_) => project.request(n),
                None => project.quick_request(n),
            };
            let started = Instant::now();
            match &mut kept {
                Some(client) => client.hit(&frame),
                None => daemon.client().hit(&frame),
            }
            started.elapsed()
        };
        shuffled(count, results).map(ask).collect::<Vec<Duration>>()
    };
    ask_for(WARM_UP);
    daemon.rest();
    let before = daemon.cpu().0;
    let times = std::thread::scope(|scope| {
        let asked: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| ask_for(answers / clients))).collect();
        asked.into_iter().flat_map(|one| one.join().expect("hits")).collect()
    });
    let times = Times::new(times);
    let spent = (daemon.cpu().0 - before) / times.len() as u32;
    let name = match asking {
        Asking::New => "new".to_owned(),
        Asking::Crowd(clients) => format!("new, {clients}"),
        Asking::Kept => "kept".to_owned(),
    };
    println!(
        "{results:10}  {name:10}  {:6.2}  {:14.0}  {:9.1}  {:9.1}  {:9.1}  {:9.1}",
        us(spent),
        1e6 / us(spent),
        us(times.part(0.5)),
        us(times.part(0.99)),
        us(times.part(0.999)),
        us(times.worst()),
    );
}

fn restart(lab: &Lab, project: &Project, results: usize) {
    let started = Instant::now();
    let (daemon, listening) = lab.daemon("40G");
    let known = matches!(daemon.client().compile(&project.request(0)), Answered::Hit);
    let first = started.elapsed();
    let opened = mib(daemon.memory());
    if !known {
        // The index did not open in time, or was set aside.
        println!("            restarted: NOTHING IS KNOWN; the log: {}", daemon.log().trim_end());
        return;
    }
    let mut client = daemon.client();
    let times: Vec<Duration> = (1..results.min(5_000))
        .map(|n| {
            let frame = project.request(n);
            let started = Instant::now();
            client.hit(&frame);
            started.elapsed()
        })
        .collect();
    let times = Times::new(times);
    println!(
        "            restarted: listens after {:.0} ms, first hit after {:.0} ms; then each p50 {:.0} us, p99 {:.0} us; memory {opened:.1} MiB, {:.1} MiB after {} hits",
        us(listening) / 1e3,
        us(first) / 1e3,
        us(times.part(0.5)),
        us(times.part(0.99)),
        mib(daemon.memory()),
        times.len(),
    );
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
