//! `zccache inspect KEY`.

use std::fmt::Write;
use std::process::ExitCode;

use super::given::Given;
use super::{human_bytes, print, say, settings};
use crate::daemon::{serve, start};
use crate::protocol::message::{Reply, Request};
use crate::protocol::told::Inspected;
use crate::session::time::iso;

/// Shows one stored result, named by its key or by the beginning of it.
pub fn run(given: &Given) -> ExitCode {
    let json = given.has("json");
    // The table says that there is one.
    let word = given.words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let word = &*word;
    let Some(start) = bytes_of(word) else {
        say(&format!(
            "inspect: {word}: not a key, which is 64 hex digits or an even number, from 8, of \
             the first ones"
        ));
        return ExitCode::FAILURE;
    };
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let found = match start::ask_running(&settings, &Request::Inspect(start.clone())) {
        Ok(Some(Reply::Inspected(found))) => Ok(found),
        Ok(None) => serve::inspect_offline(&settings, &start),
        Ok(Some(_)) => Err(std::io::Error::other("the daemon gave another answer")),
        Err(error) => Err(error),
    };
    let why = match found.as_deref() {
        Ok([one]) => {
            print(&if json { format!("{}\n", serde_json::json!(one)) } else { table(one) });
            return ExitCode::SUCCESS;
        }
        Ok([]) => format!("{word}: no such result here"),
        Ok(several) => {
            format!("{word}: {} results begin so, more digits are needed", several.len())
        }
        Err(error) => error.to_string(),
    };
    say(&format!("inspect: {why}"));
    ExitCode::FAILURE
}

/// None for anything but hex digits, at least eight and at most a whole key.
fn bytes_of(word: &str) -> Option<Vec<u8>> {
    let digits = word.as_bytes();
    if !(8..=64).contains(&digits.len()) || !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    digits.chunks(2).map(|pair| Some((value(&pair[0])? * 16 + value(&pair[1])?) as u8)).collect()
}

fn table(result: &Inspected) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<14}{value}");
    };
    let moment = |seconds: u64| iso(seconds.saturating_mul(1_000_000));
    row("key", result.key.clone());
    row("action", result.action.clone());
    row("tool", format!("{} ({})", result.compiler, result.kind.tool.name()));
    row("language", result.kind.language.name().to_owned());
    row("source", result.source.clone());
    for (role, size, blob, executable) in &result.outputs {
        let place = blob.as_deref().map_or("in the index".to_owned(), |id| format!("blob {id}"));
        let mode = if *executable { ", executable" } else { "" };
        row("output", format!("{role}, {}{mode}, {place}", human_bytes(*size)));
    }
    row("messages", human_bytes(result.text_bytes));
    row("compile time", format!("{:.3} s", result.compile_ns as f64 / 1e9));
    row("stored", moment(result.created_s));
    row("last used", moment(result.used_s));
    row("absent", format!("{} paths that must not be there", result.absent.len()));
    row("variables", result.variables.join(" "));
    row("inputs", format!("{} files, as the command spells them", result.read.len()));
    for path in &result.read {
        row("", path.clone());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::bytes_of;

    #[test]
    fn keys() {
        assert_eq!(bytes_of("00ffA0b1"), Some(vec![0, 255, 160, 177]));
        assert_eq!(bytes_of(&"a".repeat(64)).map(|key| key.len()), Some(32));
        for bad in ["", "00ff", "00ffa0b", "00ffa0bx", &"a".repeat(66)] {
            assert_eq!(bytes_of(bad), None, "{bad}");
        }
    }
}
