//! The web page: one file with its data in it, which loads nothing.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::Build;
use crate::session::journal::shortened;
use crate::session::rollup::RollUp;
use crate::session::time::iso;

const PAGE: &str = include_str!("page.html");
/// What the page is told of a command line; the journal has the rest.
const COMMAND_CHARS: usize = 600;
/// And of each cause.
const CAUSE_CHARS: usize = 300;

/// The whole page. `title` is the journal's name.
pub fn html(build: &Build, title: &str) -> String {
    // Inside a script element only `<` could end it.
    let data = data(build, title).to_string().replace('<', "\\u003c");
    let (before, after) = PAGE.split_once("DATA_GOES_HERE").unwrap_or((PAGE, ""));
    [before, &data, after].concat()
}

/// Texts that occur often, each told once and named by its number.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Texts {
    fn number(&mut self, text: String) -> usize {
        *self.numbers.entry(text).or_insert_with_key(|text| {
            self.all.push(text.clone());
            self.all.len() - 1
        })
    }
}

fn data(build: &Build, title: &str) -> Value {
    let origin = build.lines().map(|line| line.start_us).min().unwrap_or_default();
    let mut texts = Texts::default();
    let mut commands = Vec::new();
    for command in &build.commands {
        let line = &command.line;
        let full = line.name();
        let (folder, file) = full.rsplit_once('/').unwrap_or(("", &full));
        let detail = if line.outcome.is_hit() {
            Value::Null
        } else {
            let causes: Vec<String> = line
                .causes
                .iter()
                .map(|cause| {
                    let differences = cause.differences.iter().map(|difference| difference.words());
                    let words: Vec<String> = std::iter::once(cause.reason.words().to_owned())
                        .chain(differences)
                        .collect();
                    shortened(&words.join("; "), CAUSE_CHARS)
                })
                .collect();
            json!({
                "command": shortened(&format!("{} {}", line.compiler, line.args.join(" ")), COMMAND_CHARS),
                "cwd": texts.number(line.cwd.clone()),
                "reason": line.reason.map(|reason| texts.number(reason.to_string())),
                "causes": causes,
                "key": line.key,
                "exit": line.exit_code,
            })
        };
        // By place, since there may be tens of thousands: see `field` in the page.
        commands.push(json!([
            line.start_us - origin,
            line.latency_ns / 1000,
            command.row,
            line.outcome.name(),
            file,
            texts.number(folder.to_owned()),
            line.saved_ns / 1000,
            line.language.name(),
            detail,
        ]));
    }
    let starts = build.starts();
    let ends = starts.iter().skip(1).copied().chain([build.commands.len()]);
    let builds: Vec<Value> = starts
        .iter()
        .zip(ends)
        .map(|(&from, to)| {
            let sum = RollUp::of(build.commands[from..to].iter().map(|command| &command.line));
            let start = build.commands[from].line.start_us;
            json!({ "from": from, "to": to, "started": iso(start), "causes": sum.causes })
        })
        .collect();
    json!({
        "title": title,
        "version": env!("CARGO_PKG_VERSION"),
        "skipped": build.skipped,
        "texts": texts.all,
        "builds": builds,
        "commands": commands,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;
    use super::*;

    #[test]
    fn nothing_in_the_data_ends_the_script() {
        let mut evil = line(1, 1, "miss");
        evil.sources = vec!["/w/</script><script>alert(1)</script>.c".to_owned()];
        let page = html(&Build::of(vec![evil], 3), "<b>.jsonl");
        assert_eq!(page.matches("</script>").count(), PAGE.matches("</script>").count());
        assert!(!page.contains("<b>") && page.contains("\"skipped\":3"));
    }

    #[test]
    fn it_loads_nothing() {
        assert!(PAGE.contains("default-src 'none'"));
        for part in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!PAGE.contains(part), "{part}");
        }
    }
}
