//! `zccache doctor`.

use std::process::ExitCode;

use super::given::Given;
use super::{human_bytes, print, say, settings};
use crate::daemon::checkup::{self, Findings};

/// Checks the cache and, with `--repair`, mends it. Status 1: something is wrong and stays so.
pub fn run(given: &Given) -> ExitCode {
    let (repair, json) = (given.has("repair"), given.has("json"));
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match checkup::examine(&settings, repair) {
        Ok(found) => {
            print(&if json { as_json(&found) } else { as_text(&found) });
            if found.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("doctor: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn as_json(found: &Findings) -> String {
    let mut value = serde_json::to_value(found).unwrap_or_default();
    value["sound"] = found.is_sound().into();
    format!("{value}\n")
}

fn as_text(found: &Findings) -> String {
    let daemon = found.daemon.map_or("not running".to_owned(), |pid| format!("running, pid {pid}"));
    let index = match found.index_checked {
        true => format!("{} results", found.results),
        false => "not looked at".to_owned(),
    };
    let mut text = format!(
        "cache: {}\ndaemon: {daemon}\nindex: {index}\nblobs: {}, {}\n",
        found.root,
        found.blobs,
        human_bytes(found.blob_bytes)
    );
    for problem in &found.problems {
        let end = if problem.repaired { "repaired" } else { &problem.advice };
        text += &format!("{}: {} ({end})\n", problem.part, problem.what);
    }
    if found.problems.is_empty() {
        text += "all is well\n";
    } else if !found.is_sound() {
        text += "zccache doctor --repair mends what a cache can mend\n";
    }
    text
}
