use std::collections::BTreeSet;

use serde_json::Value;
use zccache::cli::commands;
use zccache::cli::table::{Command, Field, Json};

use crate::kit::{HELLO, Sandbox, have};

fn built() -> impl Iterator<Item = &'static Command> {
    commands::all().filter(|command| command.is_shown())
}

#[test]
fn every_command_has_help_and_refuses_nonsense() {
    let s = Sandbox::new();
    let overview = s.z("--help").code(0).out();
    assert!(overview.lines().count() <= 24 && overview.lines().all(|line| line.len() <= 80));
    for command in built() {
        let name = command.name;
        let help = s.z(&[name, "--help"]).code(0);
        assert!(help.out().starts_with(&format!("zccache {name}")) && help.err().is_empty());
        assert!(help.out().contains("Example"), "{name}");
        assert!(overview.contains(name), "{name}");
        let output = s.z(&[name, "--no-such-flag"]).code(2);
        assert!(output.out().is_empty(), "{name}");
        assert_eq!(output.err().lines().count(), 1, "{}", output.err());
        assert!(output.err().contains("--no-such-flag"), "{}", output.err());
    }
    assert!(s.daemons().is_empty());
}

/// What bash offers for a line that ends in the last word.
#[test]
fn bad_input_is_one_line_that_says_what_to_do() {
    let s = Sandbox::new();
    let said = s.z("download").code(2).err();
    assert!(said.contains("a URL to download is needed") && said.lines().count() == 1, "{said}");
    let mut alone = s.z_command("--bogus");
    std::os::unix::process::CommandExt::arg0(&mut alone, "zccache-fp");
    let said = crate::kit::finish(alone.spawn().unwrap()).code(2).err();
    assert!(said.contains("zccache-fp: ") && !said.contains("fp-alone"), "{said}");
    std::fs::create_dir_all(&s.cache).unwrap();
    std::fs::write(s.cache.join("config.toml"), "exclude_crates = 5\n").unwrap();
    let said = s.z("config").code(1).err();
    assert!(said.contains("config.toml:1: exclude_crates is not understood"), "{said}");
}

/// What `status` counts is what `clear` removes.
#[test]
fn small_results_count() {
    let s = Sandbox::new();
    s.write("a.c", crate::kit::HELLO);
    s.warm("gcc -c a.c -o a.o");
    assert_eq!(s.status()["artifacts"], 1);
    s.z("stop").ok();
    assert_eq!(s.status()["artifacts"], 1);
    s.z("start").ok();
    assert!(s.z("clear").ok().out().contains("artifacts removed: 1"));
    assert_eq!(s.status()["artifacts"], 0);
}

fn offered(s: &Sandbox, words: &[&str]) -> BTreeSet<String> {
    let script = "source <(zccache completions bash); compopt() { :; }
        COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _zccache; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let mut line = vec!["bash", "-c", script, "bash"];
    line.extend(words);
    // The command's own name is looked up by the script.
    let out = s.bare(&line[..]).code(0).out();
    out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let mut s = Sandbox::new();
    let bin = std::path::Path::new(crate::kit::ZCCACHE).parent().unwrap();
    s.path_first(bin);
    let first = offered(&s, &["zccache", ""]);
    for name in built().flat_map(|command| [&[command.name], command.aliases].concat()) {
        assert!(first.contains(name), "{name} in {first:?}");
    }
    assert!(offered(&s, &["zccache", "gc"]).contains("gcc"));
    assert!(offered(&s, &["zccache", "status", "--"]).contains("--json"));
    assert!(offered(&s, &["zccache", "daemon", "--log-level", "de"]).contains("debug"));
    assert!(!offered(&s, &["zccache", "daemon", "--"]).contains("--detached"));
    s.write("folder/file", "");
    assert!(offered(&s, &["zccache", "link", "fol"]).contains("folder"));
    assert!(offered(&s, &["zccache", "completions", ""]).contains("fish"));
}

#[test]
fn zsh_and_fish_read_their_completions() {
    let s = Sandbox::new();
    s.write("_zccache", s.z("completions zsh").code(0).stdout);
    s.write("zccache.fish", s.z("completions fish").code(0).stdout);
    if have("zsh") {
        let script = "autoload -U compinit; compinit -u -D; source ./_zccache; whence -w _zccache";
        let output = s.bare(&["zsh", "-f", "-c", script]).code(0);
        assert_eq!((output.out().trim(), output.err().trim()), ("_zccache: function", ""));
    }
    if have("fish") {
        let script = "source zccache.fish; complete -C 'zccache daemon --log-level '; \
                      complete -C 'zccache st'; complete -C 'zccache completions '";
        let output = s.bare(&["fish", "--no-config", "-c", script]).code(0);
        let out = output.out();
        let words: BTreeSet<&str> =
            out.lines().filter_map(|line| line.split('\t').next()).collect();
        for word in ["debug", "start", "stop", "status", "zsh"] {
            assert!(words.contains(word), "{word} in {words:?} {}", output.err());
        }
    }
}

#[test]
fn the_man_page_is_sound_roff() {
    let s = Sandbox::new();
    s.write("zccache.1", s.z("man").code(0).stdout);
    if have("groff") {
        let output = s.bare("groff -man -Tascii -ww zccache.1").code(0);
        assert_eq!(output.err(), "");
        for command in built() {
            assert!(output.out().contains(command.name), "{}", command.name);
        }
    }
}

/// Every field of the value by its path, with its value; list elements are `[]`.
fn fields<'a>(value: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    if !path.is_empty() {
        found.push((path.to_owned(), value));
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                let dot = if path.is_empty() { "" } else { "." };
                fields(value, &format!("{path}{dot}{name}"), found);
            }
        }
        Value::Array(list) => {
            for value in list {
                fields(value, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

fn is_of(kind: Json, value: &Value) -> bool {
    let maybe =
        matches!(kind, Json::MaybeStr | Json::MaybeInt | Json::MaybeFloat | Json::MaybeObject);
    match kind {
        _ if value.is_null() => maybe,
        Json::Str | Json::MaybeStr => value.is_string(),
        Json::Int | Json::MaybeInt => value.is_u64() || value.is_i64(),
        Json::Float | Json::MaybeFloat => value.is_number(),
        Json::Bool => value.is_boolean(),
        Json::Array => value.is_array(),
        Json::Object | Json::MaybeObject => value.is_object(),
    }
}

fn fits(documented: &str, path: &str) -> bool {
    if let Some(above) = documented.strip_suffix(".**") {
        let below = path.strip_prefix(above);
        return below.is_some_and(|below| below.starts_with(['.', '[']));
    }
    let (documented, path): (Vec<_>, Vec<_>) =
        (documented.split('.').collect(), path.split('.').collect());
    documented.len() == path.len()
        && documented.iter().zip(path).all(|(known, part)| *known == "*" || *known == part)
}

/// That the object has the documented fields of the documented kinds, and no other.
#[track_caller]
pub fn is_as_documented(documented: &[Field], object: &Value) {
    let mut found = Vec::new();
    fields(object, "", &mut found);
    for (path, value) in &found {
        let field = documented.iter().find(|field| fits(field.path, path));
        let field = field.unwrap_or_else(|| panic!("{path} is not documented: {object}"));
        let any = field.path.ends_with("**");
        assert!(any || is_of(field.kind, value), "{path} is {value}, not {}", field.kind.name());
    }
    for field in documented.iter().filter(|field| !field.path.contains(['*', '[', '.'])) {
        assert!(found.iter().any(|(path, _)| path == field.path), "there is no {}", field.path);
    }
}

#[track_caller]
pub fn json_of(command: &str) -> &'static [Field] {
    commands::all().find(|known| known.name == command).unwrap().json
}

#[test]
fn json_is_as_documented() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let parsed = |line: &str| -> Value { serde_json::from_slice(&s.z(line).stdout).unwrap() };
    is_as_documented(json_of("status"), &parsed("status --json"));
    s.z("gcc -c a.c").ok();
    s.z("gcc --version").ok();
    is_as_documented(json_of("status"), &parsed("status --json"));
    // It waits until all that happened is written down.
    is_as_documented(json_of("why"), &parsed("why --last 5 --json"));
    let journal = s.cache.join("logs/compile_journal.jsonl");
    let analyzed = format!("analyze --json {}", journal.display());
    is_as_documented(json_of("analyze"), &parsed(&analyzed));
    let key = serde_json::from_str::<Value>(
        std::fs::read_to_string(&journal)
            .unwrap()
            .lines()
            .find(|line| line.contains("\"miss\""))
            .unwrap(),
    )
    .unwrap()["key"]
        .as_str()
        .unwrap()
        .to_owned();
    is_as_documented(json_of("inspect"), &parsed(&format!("inspect {key} --json")));
    is_as_documented(json_of("explain"), &parsed("explain --json -- gcc -c a.c"));
    is_as_documented(json_of("explain"), &parsed("explain --json -- gcc -DX -c a.c"));
    is_as_documented(json_of("session-start"), &parsed("session-start --format json"));
    let id = parsed("session-start")["session_id"].as_str().unwrap().to_owned();
    is_as_documented(json_of("session-stats"), &parsed(&format!("session-stats {id} --json")));
    is_as_documented(json_of("session-end"), &parsed(&format!("session-end {id} --json")));
    is_as_documented(json_of("crashes"), &parsed("crashes --json"));
    is_as_documented(json_of("clear"), &parsed("clear --json"));
}
