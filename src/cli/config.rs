//! `zccache config`.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::given::Given;
use super::{print, say, shown, unclear};
use crate::settings::file::{self, ConfigFile};
use crate::settings::table::{SETTINGS, Setting};
use crate::settings::{BadVariable, Settings};
use crate::sys::process::environment;

/// Where a value comes from.
enum Origin {
    Default,
    /// A line of the file.
    File(usize),
    Environment,
}

impl Origin {
    fn name(&self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::File(_) => "file",
            Origin::Environment => "environment",
        }
    }
}

struct Row {
    setting: &'static Setting,
    /// In words for a default.
    value: String,
    origin: Origin,
}

/// Shows each setting with its value and where that comes from. What is set and makes no
/// sense is told, one line each, and makes the status 1.
pub fn run(given: &Given) -> ExitCode {
    let cwd = rustix::process::getcwd(Vec::new()).ok().map(|cwd| cwd.into_bytes());
    let (settings, bad) = Settings::from_block(&environment(), cwd.as_deref());
    let Some(root) = settings.cache_root.clone() else {
        return unclear("config: no cache folder: set ZCCACHE_CACHE_DIR or HOME");
    };
    let file = settings.file();
    let rows = rows(&settings, &bad, &file, &root);
    let priority = settings.compile_priority.as_ref().err();
    let faults: Vec<String> = file
        .faults
        .iter()
        .map(ToString::to_string)
        .chain(bad.iter().map(ToString::to_string))
        .chain(priority.map(|bad| format!("{bad}; low is used")))
        .collect();
    let path = file::path(&root);
    if given.has("json") {
        let settings = rows.iter().map(|row| (row.setting.variable.to_owned(), machine(row)));
        let settings: serde_json::Map<String, Value> = settings.collect();
        let path = path.to_string_lossy();
        print(&format!("{}\n", json!({ "file": path, "settings": settings, "faults": faults })));
    } else {
        print(&table(&rows));
        say(&format!("the file is {}", path.display()));
    }
    for fault in &faults {
        say(fault);
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rows(settings: &Settings, bad: &[BadVariable], file: &ConfigFile, root: &[u8]) -> Vec<Row> {
    let row = |setting: &'static Setting| {
        let is_bad = bad.iter().any(|bad| bad.name == setting.variable);
        let in_env = settings.given(setting.variable).filter(|_| !is_bad);
        let (value, origin) = match (in_env, file.entry(setting.variable)) {
            (Some(value), _) => (shown(value).to_string(), Origin::Environment),
            (None, Some(entry)) => (shown(&entry.value).to_string(), Origin::File(entry.line)),
            // The folder is worth more than a word for it.
            (None, None) if setting.variable == "ZCCACHE_CACHE_DIR" => {
                (shown(root).to_string(), Origin::Default)
            }
            (None, None) => (setting.default.to_owned(), Origin::Default),
        };
        Row { setting, value, origin }
    };
    SETTINGS.iter().map(row).collect()
}

fn machine(row: &Row) -> Value {
    let line = match row.origin {
        Origin::File(line) => Some(line),
        Origin::Default | Origin::Environment => None,
    };
    json!({
        "key": row.setting.key(),
        "value": row.value,
        "origin": row.origin.name(),
        "line": line,
        "default": row.setting.default,
        "allowed": row.setting.allowed,
        "meaning": row.setting.meaning,
    })
}

fn table(rows: &[Row]) -> String {
    let style = super::style::Style::of_stdout();
    let names: Vec<String> = rows
        .iter()
        .map(|row| row.setting.key().unwrap_or_else(|| row.setting.variable.to_owned()))
        .collect();
    let mut columns = super::style::Columns::new(["setting", "value", "from", "meaning"]);
    for (row, name) in rows.iter().zip(&names) {
        let from = match row.origin {
            Origin::Default => style.faint("default"),
            Origin::File(line) => style.bold(&format!("config.toml:{line}")),
            Origin::Environment => style.bold(row.setting.variable),
        };
        // A value that is not printable must not break the table.
        let value: String =
            row.value.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        columns.row([name.clone(), value, from, row.setting.meaning.to_owned()]);
    }
    let mut text = columns.text(&style);
    let _ = writeln!(
        text,
        "\nNames in small letters can stand in the file (cache_size = \"20G\"); a variable \
         ZCCACHE_NAME wins over it."
    );
    text
}
