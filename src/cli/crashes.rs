//! `zccache crashes`.

use std::process::ExitCode;

use super::given::Given;
use super::{print, say, settings};
use crate::server::root::Root;
use crate::session::crash;

/// Shows what past daemons left behind when something went wrong, or removes it.
pub fn run(given: &Given) -> ExitCode {
    let (clear, json) = (given.has("clear"), given.has("json"));
    let root = match settings().map(|settings| Root::of(&settings)) {
        Ok(Ok(root)) => root,
        Ok(Err(error)) => {
            say(&format!("crashes: {error}"));
            return ExitCode::FAILURE;
        }
        Err(code) => return code,
    };
    if clear {
        let removed = crash::clear(root.path());
        if json {
            print(&format!("{}\n", serde_json::json!({ "removed": removed })));
        } else {
            print(&format!("crash reports removed: {removed}\n"));
        }
        return ExitCode::SUCCESS;
    }
    let all = crash::list(root.path());
    if json {
        print(&format!("{}\n", serde_json::json!(all)));
        return ExitCode::SUCCESS;
    }
    if all.is_empty() {
        say("no crash reports");
    }
    for report in all {
        print(&format!("--- {}\n{}\n", report.path.display(), report.text.trim_end()));
    }
    ExitCode::SUCCESS
}
