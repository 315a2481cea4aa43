//! A build in Chrome's trace event format, which Perfetto and chrome://tracing read: complete
//! events (`X`) with microseconds, one thread for each row of the timeline.

use serde_json::{Value, json};

use super::Build;

/// All commands of one build are threads of one process.
const PROCESS: u32 = 1;

/// The whole file.
pub fn json(build: &Build) -> Value {
    let origin = build.lines().map(|line| line.start_us).min().unwrap_or_default();
    let rows = build.commands.iter().map(|command| command.row).max();
    let named = |kind: &str, row: u32, name: String| json!({ "ph": "M", "name": kind, "pid": PROCESS, "tid": row, "args": { "name": name } });
    let mut events = vec![named("process_name", 0, "zccache".to_owned())];
    for row in rows.map_or(0..0, |last| 0..last + 1) {
        events.push(named("thread_name", row, format!("lane {row}")));
    }
    for command in &build.commands {
        let line = &command.line;
        let short = line.name();
        events.push(json!({
            "ph": "X",
            "name": short.rsplit('/').next().unwrap_or(&short),
            "cat": line.outcome.name(),
            "ts": line.start_us - origin,
            "dur": line.latency_ns as f64 / 1000.0,
            "pid": PROCESS,
            "tid": command.row,
            "args": {
                "outcome": line.outcome.name(),
                "reason": line.reason,
                "compiler": line.compiler,
                "command": line.args.join(" "),
                "cwd": line.cwd,
                "sources": line.sources,
                "compile_ms": line.compile_ns as f64 / 1e6,
                "saved_ms": line.saved_ns as f64 / 1e6,
                "key": line.key,
            },
        }));
    }
    json!({
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": { "producer": concat!("zccache ", env!("CARGO_PKG_VERSION")) },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;
    use super::*;

    #[test]
    fn events_have_the_fields_of_the_format() {
        let build = Build::of(vec![line(1_005, 20, "miss"), line(1_000, 10, "hit")], 0);
        let trace = json(&build);
        let events = trace["traceEvents"].as_array().unwrap();
        let complete: Vec<&Value> = events.iter().filter(|event| event["ph"] == "X").collect();
        assert_eq!(complete.len(), 2);
        assert_eq!((&complete[0]["ts"], &complete[0]["dur"]), (&json!(0), &json!(10.0)));
        assert_eq!((&complete[1]["ts"], &complete[1]["tid"]), (&json!(5), &json!(1)));
        assert_eq!(complete[1]["cat"], "miss");
    }
}
