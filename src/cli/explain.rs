//! `zccache explain -- COMPILER ARGS…`.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use super::given::Given;
use super::{exec, human_bytes, print, say, settings, unclear};
use crate::daemon::start;
use crate::protocol::message::{Declared, Invocation, Reply, Request, StdoutIs};
use crate::protocol::told::{Explanation, Json};
use crate::sys::process;
use crate::wrapper::{self, stdout_of};

/// Says what a command would come to, and what its key is made of. Compiles nothing and
/// stores no result; a compiler that is not known yet is asked about itself.
pub fn run(given: &Given) -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    // A command of `zccache exec` is told by what is declared, not by its name.
    let (declared, words) = match given.words.split_first() {
        Some((first, rest)) if first == "exec" => match exec::read(rest) {
            Ok((declared, words)) => (Some(declared), words),
            Err(why) => return unclear(&why),
        },
        _ => (None, given.words.clone()),
    };
    let explained = ask(&settings, &words, declared);
    match explained {
        Ok(explained) => {
            print(&if given.has("json") { machine(&explained) } else { table(&explained) });
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("explain: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn ask(
    settings: &crate::settings::Settings,
    words: &[OsString],
    declared: Option<Declared>,
) -> std::io::Result<Explanation> {
    let cwd = rustix::process::getcwd(Vec::new())?.into_bytes();
    let invocation = Invocation {
        argv: words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect(),
        env: process::environment(),
        cwd,
        terminal: wrapper::terminal(),
        stdout: words
            .first()
            .map_or(StdoutIs::Apart, |tool| stdout_of(tool.as_bytes(), declared.is_some())),
        declared,
        ..Invocation::default()
    };
    drop(start::connect_if_allowed(settings, start::soon())?);
    match start::ask_running(settings, &Request::Explain(invocation))? {
        Some(Reply::Explained(explained)) => {
            let Json(explained) = *explained;
            Ok(explained)
        }
        _ => Err(std::io::Error::other("the daemon gave another answer")),
    }
}

/// `hit`, `miss` or `uncacheable`.
fn outcome(explained: &Explanation) -> &'static str {
    if explained.units.is_empty() {
        "uncacheable"
    } else if explained.causes.is_empty() {
        "hit"
    } else {
        "miss"
    }
}

fn machine(explained: &Explanation) -> String {
    let units: Vec<_> = explained
        .units
        .iter()
        .map(|unit| {
            let parts: Vec<_> = unit
                .parts
                .iter()
                .map(|(part, value)| serde_json::json!({ "part": part, "value": value }))
                .collect();
            serde_json::json!({
                "unit": unit.name,
                "action": unit.action,
                "key": unit.key,
                "outputs": unit.outputs,
                "inputs": unit.inputs,
                "compile_ns": unit.compile_ns,
                "bytes": unit.bytes,
                "parts": parts,
            })
        })
        .collect();
    let value = serde_json::json!({
        "outcome": outcome(explained),
        "compiler": explained.compiler,
        "tool": explained.kind.tool,
        "language": explained.kind.language,
        "causes": explained.causes,
        "units": units,
    });
    format!("{value}\n")
}

fn table(explained: &Explanation) -> String {
    let mut text = String::new();
    let verdict = match outcome(explained) {
        "hit" => "would be a hit",
        "miss" => "would be a miss",
        _ => "would run as it is",
    };
    // Writing to a String does not fail.
    let _ = writeln!(text, "{verdict}");
    for cause in &explained.causes {
        let unit = if cause.unit.is_empty() { String::new() } else { format!("{}: ", cause.unit) };
        let _ = writeln!(text, "  {unit}{} [{}]", cause.reason.words(), cause.reason);
        for difference in &cause.differences {
            let _ = writeln!(text, "    {}", difference.words());
        }
    }
    if !explained.compiler.is_empty() {
        let _ = writeln!(text, "compiler      {}", explained.compiler);
    }
    for unit in &explained.units {
        let _ = writeln!(text, "{}", unit.name);
        let _ = writeln!(text, "  action      {}", unit.action);
        if let Some(key) = &unit.key {
            let seconds = unit.compile_ns as f64 / 1e9;
            let _ = writeln!(text, "  result      {key}");
            let size = human_bytes(unit.bytes);
            let _ = writeln!(text, "  saves       {seconds:.3} s, {} inputs, {size}", unit.inputs);
        }
        for output in &unit.outputs {
            let _ = writeln!(text, "  makes       {output}");
        }
        for (part, value) in &unit.parts {
            // A variable that is not set is a part, too, and not worth a line.
            if part != "variable" || value.contains('=') {
                let _ = writeln!(text, "  key         {part:<12} {value}");
            }
        }
    }
    text
}
