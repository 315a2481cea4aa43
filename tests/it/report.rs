use std::fmt::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::kit::{HELLO, SYSTEM_PATH, Sandbox, finish};

/// A journal of so many commands on so many lanes; every fourth one a miss.
fn journal(count: u64, lanes: u64) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (lane, miss) = (number % lanes, number % 4 == 0);
        let start_us = 1_795_420_000_000_000 + (number / lanes) * 30_000 + lane * 700;
        let latency_us: u64 = if miss { 25_000 } else { 900 };
        let causes = json!([{ "unit": "a.c", "reason": "input_changed", "differences":
            [{ "what": "content", "path": "/w/config.h", "before": "aaaa", "after": "bbbb",
               "changed_us": start_us }] }]);
        let line = json!({
            "ts": "2026-11-23T08:00:00.000Z", "outcome": if miss { "miss" } else { "hit" },
            "compiler": "/usr/bin/gcc", "args": ["-c", format!("f{number}.c")], "cwd": "/w",
            "env": [], "exit_code": 0, "session_id": null, "latency_ns": latency_us * 1000,
            "reason": if miss { json!("input_changed") } else { Value::Null }, "key": null,
            "start_us": start_us, "lane": lane, "tool": "gcc", "language": "c",
            "compile_ns": if miss { 24_000_000 } else { 0 },
            "saved_ns": if miss { 0 } else { 24_000_000 }, "bytes": 1000,
            "sources": [format!("/w/src/f{number}.c")], "outputs": [],
            "causes": if miss { causes } else { json!([]) },
        });
        let _ = writeln!(text, "{line}");
    }
    text
}

#[test]
fn a_build_becomes_a_page_a_trace_and_words() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("b.c", "int b(");
    for line in ["gcc -c a.c", "gcc -c a.c", "gcc -c b.c", "gcc --version"] {
        s.z(line);
    }
    s.z("why").ok();
    let journal = s.cache.join("logs/compile_journal.jsonl");
    let journal = journal.to_str().unwrap();
    let output = s.z(&format!("report {journal} -o page.html --trace trace.json")).code(0);
    assert_eq!((output.out().as_str(), output.err().as_str()), ("page.html\ntrace.json\n", ""));
    let page = std::fs::read_to_string(s.path("page.html")).unwrap();
    assert!(page.contains("a.c") && page.contains("compiler_failed"));

    // The trace event format: an object with a list of events; complete ones have a start and
    // a duration in microseconds, and threads do not overlap.
    let trace: Value =
        serde_json::from_slice(&std::fs::read(s.path("trace.json")).unwrap()).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let mut ends = std::collections::HashMap::new();
    let mut categories = Vec::new();
    for event in events {
        assert!(event["name"].is_string() && event["pid"].is_u64() && event["tid"].is_u64());
        match event["ph"].as_str().unwrap() {
            "M" => assert!(event["args"]["name"].is_string()),
            "X" => {
                let (from, long) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
                let end = ends.entry(event["tid"].as_u64().unwrap()).or_insert(0.0);
                assert!(long >= 0.0 && from >= *end, "{event}");
                *end = (from + long).floor();
                categories.push(event["cat"].as_str().unwrap().to_owned());
            }
            other => panic!("an event of kind {other}"),
        }
    }
    categories.sort();
    assert_eq!(categories, ["error", "hit", "miss", "uncacheable"]);

    let words = s.z(&format!("analyze {journal}")).code(0).out();
    assert!(words.contains("commands          4") && words.contains("compiler_failed"), "{words}");
    // Where nothing is said.
    assert_eq!(s.z(&format!("report {journal}")).code(0).out(), "zccache-report.html\n");
    assert!(s.z(&format!("report {journal} -o -")).code(0).out().starts_with("<!doctype html>"));
    assert_eq!(s.z(&format!("report {journal} --trace t2.json")).code(0).out(), "t2.json\n");
}

#[test]
fn bad_journals_are_one_line() {
    let s = Sandbox::new();
    let good = journal(3, 1);
    let mangled = format!("{good}{{\"ts\": \"cut of\nnot json\n[]\n\n{good}");
    s.write("some.jsonl", &mangled);
    s.write("none.jsonl", "nothing\nof use\n");
    s.write("empty.jsonl", "");
    let output = s.z("report some.jsonl").code(0);
    assert_eq!(output.err(), "zccache: report: 3 lines made no sense and were left out\n");
    let summed: Value = serde_json::from_slice(&s.z("analyze some.jsonl --json").stdout).unwrap();
    assert_eq!((&summed["commands"], &summed["skipped"]), (&json!(6), &json!(3)));
    for (line, words) in [
        ("report", "JOURNAL is needed"),
        ("report gone.jsonl", "gone.jsonl: No such file"),
        ("report .", ".: not a file"),
        ("report none.jsonl", "no command in it, and 2 lines"),
        ("analyze empty.jsonl", "no command in it"),
        ("report some.jsonl -o some.jsonl", "is the journal itself"),
        ("report some.jsonl -o no/such/folder.html", "no/such/folder.html: No such file"),
        ("report some.jsonl --trace", "--trace needs a value"),
    ] {
        let output = s.z(line);
        assert!(!output.status.success(), "{line}");
        assert_eq!(output.err().trim_end().lines().next_back().map(|_| 1), Some(1));
        assert!(output.err().contains(words), "{line}: {}", output.err());
    }
    assert_eq!(std::fs::read_to_string(s.path("some.jsonl")).unwrap(), mangled);
}

fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut all =
        std::env::split_paths(SYSTEM_PATH).flat_map(|folder| names.map(|name| folder.join(name)));
    let found = all.find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: the report is tested in a browser; install chromium for that");
    }
    found
}

/// The page with small and large builds, as a browser makes it of the file.
#[test]
fn a_browser_shows_the_page() {
    let Some(browser) = browser() else { return };
    let s = Sandbox::new();
    for (count, theme) in [(10, "light"), (10_000, "dark")] {
        s.write("b.jsonl", journal(count, 8) + "{\n");
        s.z("report b.jsonl -o b.html").code(0);
        let run = |last: &str| {
            let mut command = s.command(&[browser.as_os_str()]);
            command
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
                .args(["--disable-dev-shm-usage", "--virtual-time-budget=5000"])
                .arg(format!("--user-data-dir={}", s.aside("browser").display()))
                .args(["--window-size=1300,1000", last])
                .arg(format!("file://{}#{theme}", s.path("b.html").display()))
                .stderr(Stdio::null());
            finish(command.spawn().unwrap()).ok()
        };
        let page = run("--dump-dom").out();
        // Set by the last line of the page's script: all of it ran.
        assert!(page.contains(&format!("data-ready=\"{count}\"")), "{}", &page[..2000]);
        assert!(page.contains(&format!("data-theme=\"{theme}\"")));
        assert!(page.contains("1 line of the journal made no sense"));
        assert!(page.contains("/w/config.h changed"), "no causes");
        assert!(page.contains("f0.c"), "no slowest misses");
        let shot = s.path("shot.png");
        run(&format!("--screenshot={}", shot.display()));
        // An empty page of this size is much smaller.
        assert!(std::fs::metadata(&shot).unwrap().len() > 20_000);
    }
}
