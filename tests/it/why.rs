use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kit::{HELLO, Sandbox, ZCCACHE, eventually, real, shim};
use crate::project::{build, lua};

const COMPILE: &str = "gcc -c a.c -o a.o";

fn why(s: &Sandbox, words: &str) -> Value {
    serde_json::from_str(&s.z(&format!("why {words} --json")).ok().out()).unwrap()
}

/// The only cause of the last command.
#[track_caller]
fn last_cause(s: &Sandbox) -> Value {
    let told = why(s, "--last 1");
    let causes = told["lines"][0]["causes"].as_array().unwrap_or_else(|| panic!("{told}"));
    assert_eq!(causes.len(), 1, "{told}");
    causes[0].clone()
}

/// A real project, built in sessions.
struct Project {
    s: Sandbox,
    flags: &'static str,
}

impl Project {
    /// Builds all of it in a session of its own; gives what `why` says of it.
    fn build(&mut self) -> (String, Value) {
        self.s.unset("ZCCACHE_SESSION_ID");
        let said = self.s.z("session-start").ok().out();
        let said: Value = serde_json::from_str(&said).unwrap();
        let id = said["session_id"].as_str().unwrap().to_owned();
        self.s.set("ZCCACHE_SESSION_ID", &id);
        build(&self.s, &format!("{ZCCACHE} gcc"), self.flags);
        self.s.z(&format!("session-end {id}")).ok();
        // Joined: `why` means this session by itself.
        (self.s.z("why").ok().out(), why(&self.s, &format!("--session {id}")))
    }

    /// The sources whose dependency files name this.
    fn users_of(&self, header: &str) -> BTreeSet<String> {
        let files = fs::read_dir(self.s.path("out")).unwrap().flatten().map(|file| file.path());
        let files = files.filter(|path| path.extension().is_some_and(|end| end == "d"));
        let users = files.filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.split_whitespace().any(|word| word == header)
        });
        users.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    fn sources(&self) -> usize {
        let all = fs::read_dir(self.s.path("src")).unwrap().flatten();
        all.filter(|file| file.path().extension().is_some_and(|end| end == "c")).count()
    }
}

/// The sources that missed for this reason with these differences, without their values;
/// every other miss is a failure.
#[track_caller]
fn missed(told: &Value, reason: &str, differs: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let lines = told["lines"].as_array().unwrap().iter();
    let unit = |line: &Value| {
        let (cause, more) = line["causes"].as_array().unwrap().split_first().unwrap();
        assert_eq!(cause["reason"], reason, "{line}");
        // On a busy machine the kernel may tell of a replaced file only while it is in use.
        assert!(more.iter().all(|cause| cause["reason"] == "changed_during_compile"), "{line}");
        let telling = more.first().unwrap_or(cause);
        assert_eq!(line["reason"], telling["reason"], "{line}");
        assert!(differs(&cause["differences"]), "{}", cause["differences"]);
        let name = Path::new(cause["unit"].as_str().unwrap()).file_stem().unwrap();
        name.to_str().unwrap().to_owned()
    };
    lines.map(unit).collect()
}

#[test]
fn five_kinds_of_change_in_a_real_project() {
    let s = Sandbox::new();
    lua(&s);
    fs::create_dir(s.path("shadow")).unwrap();
    fs::create_dir(s.path("empty")).unwrap();
    let mut project = Project { s, flags: "-O0 -Ishadow" };
    let tools = project.s.aside("tools");
    shim(&tools, "gcc", &real("gcc"), "one");
    project.s.path_first(&tools);
    let count = project.sources();
    let (text, told) = project.build();
    assert_eq!(missed(&told, "new_action", |none| none.is_null()).len(), count);
    let line = format!("{count} of {count} misses: compiled for the first time  [new_action]");
    assert!(text.contains(&line), "{text}");
    let (text, told) = project.build();
    assert_eq!(told["summary"]["hits"], count, "{text}");
    assert_eq!(told["lines"], json!([]));

    // A header.
    let header = [&project.s.read("src/lopcodes.h")[..], b"#define ADDED 1\n"].concat();
    project.s.write("src/lopcodes.h", header);
    let (text, told) = project.build();
    let path = project.s.path("src/lopcodes.h");
    let path = path.to_str().unwrap();
    let users = missed(&told, "input_changed", |list| {
        list.as_array().unwrap().len() == 1
            && list[0]["what"] == "content"
            && list[0]["path"] == path
            && list[0]["before"].is_string()
            && list[0]["before"] != list[0]["after"]
    });
    let truth = project.users_of("src/lopcodes.h");
    assert!(users == truth && !truth.is_empty() && truth.len() < count, "{users:?} {truth:?}");
    assert_eq!(told["summary"]["hits"], count - truth.len());
    let line = format!("{0} of {0} misses: {path} changed  [input_changed]", truth.len());
    assert!(text.contains(&line), "{text}");

    // A header that shadows another from now on. What is known outlives the daemon.
    project.s.z("stop").ok();
    let shadow = project.s.write("shadow/locale.h", "#include_next <locale.h>\n");
    let (_, told) = project.build();
    let users = missed(&told, "input_appeared", |list| {
        *list == json!([{ "what": "appeared", "path": shadow.to_str().unwrap() }])
    });
    let truth = project.users_of("shadow/locale.h");
    assert!(users == truth && !truth.is_empty() && truth.len() < count, "{users:?} {truth:?}");

    // A flag.
    project.s.z("stop").ok();
    project.flags = "-O1 -Ishadow";
    let (text, told) = project.build();
    let all = missed(&told, "command_changed", |list| {
        *list
            == json!([
                { "what": "flag_added", "flag": "-O1" },
                { "what": "flag_removed", "flag": "-O0" },
            ])
    });
    assert_eq!(all.len(), count, "{text}");

    // A variable.
    let folder = project.s.path("empty");
    project.s.set("C_INCLUDE_PATH", &folder);
    let (text, told) = project.build();
    let all = missed(&told, "variable_changed", |list| {
        *list
            == json!([{
                "what": "variable", "name": "C_INCLUDE_PATH", "before": null,
                "after": folder.to_str().unwrap(),
            }])
    });
    assert_eq!(all.len(), count, "{text}");

    // The compiler.
    shim(&tools, "gcc", &real("gcc"), "two");
    let (text, told) = project.build();
    let file = tools.join("gcc");
    let all = missed(&told, "tool_changed", |list| {
        *list == json!([{ "what": "tool_file", "path": file.to_str().unwrap() }])
    });
    assert_eq!(all.len(), count, "{text}");
}

#[test]
fn what_was_removed_for_space_is_told() {
    let mut s = Sandbox::new();
    s.write("a.c", format!("{HELLO}char filler[100000] = {{1}};\n"));
    s.warm(COMPILE);
    s.z("stop").ok();
    s.set("ZCCACHE_CACHE_SIZE", "50K");
    s.z("start").ok();
    assert!(eventually(Duration::from_secs(60), || s.blobs().is_empty()));
    s.set("ZCCACHE_CACHE_SIZE", "1G");
    s.z("stop").ok();
    s.miss(COMPILE);
    let cause = last_cause(&s);
    assert_eq!(cause["reason"], "evicted", "{cause}");
    assert_eq!(cause["differences"][0]["what"], "eviction");
    assert_eq!(cause["differences"][0]["limit_bytes"], 50 << 10);
}

#[test]
fn an_undone_edit_is_not_blamed() {
    let s = Sandbox::new();
    s.write("a.h", "#define A 1\n");
    s.write("b.h", "#define B 1\n");
    s.write("a.c", "#include \"a.h\"\n#include \"b.h\"\nint x = A + B;\n");
    s.warm(COMPILE);
    s.write("b.h", "#define B 2\n");
    s.miss(COMPILE);
    s.write("b.h", "#define B 1\n");
    s.hit(COMPILE);
    s.write("a.h", "#define A 2\n");
    s.miss(COMPILE);
    let cause = last_cause(&s);
    // Of the two states known, the one with this b.h comes closer.
    assert_eq!(cause["differences"].as_array().unwrap().len(), 1, "{cause}");
    assert_eq!(cause["differences"][0]["path"], s.path("a.h").to_str().unwrap());
}

#[test]
fn an_input_reached_by_another_name_is_blamed() {
    let mut s = Sandbox::new();
    s.write("a.c", "#include \"h.h\"\n#include \"link.h\"\nint f(void) { return V; }\n");
    s.write("h.h", "#define V 1\n");
    s.write("behind/one.h", "");
    s.link("behind/one.h", "link.h");
    fs::create_dir(s.path("build")).unwrap();
    s.cwd = s.path("build");
    const OUTSIDE: &str = "gcc -c ../a.c -o a.o";
    s.z(OUTSIDE).ok();
    for (file, text) in [("h.h", "#define V 2\n"), ("behind/one.h", "int other;\n")] {
        std::thread::sleep(Duration::from_millis(50));
        s.write(file, text);
        s.z(OUTSIDE).ok();
        let cause = last_cause(&s);
        assert_eq!(cause["reason"], "input_changed", "{cause}");
        let name = if file == "h.h" { "h.h" } else { "link.h" };
        let path = cause["differences"][0]["path"].as_str().unwrap();
        assert_eq!(fs::canonicalize(path).unwrap(), fs::canonicalize(s.path(name)).unwrap());
        assert_eq!(cause["differences"].as_array().unwrap().len(), 1, "{cause}");
    }
}

#[test]
fn every_other_reason_is_told() {
    let mut s = Sandbox::new();
    s.write("a.h", "");
    s.write("a.c", "#include \"a.h\"\nint x;\n");
    s.warm(COMPILE);
    s.remove("a.h");
    s.z(COMPILE).code(1);
    let told = why(&s, "--last 1");
    let causes = &told["lines"][0]["causes"];
    assert_eq!(causes[0]["reason"], "input_gone");
    assert_eq!(causes[0]["differences"][0], json!({ "what": "gone", "path": s.path("a.h") }));
    assert_eq!(causes[1]["reason"], "compiler_failed");
    s.write("a.h", "");
    s.hit(COMPILE);

    s.set("ZCCACHE_RECACHE", "1");
    s.z(COMPILE).ok();
    s.unset("ZCCACHE_RECACHE");
    assert_eq!(last_cause(&s)["reason"], "recache");

    s.write("t.c", "const char *t = __TIME__;\n");
    s.z("gcc -c t.c -o t.o").ok();
    assert_eq!(why(&s, "t.c")["lines"][0]["reason"], "time_macro");

    // The same source under another name.
    s.z("gcc -c ./a.c -o a.o").ok();
    assert_eq!(last_cause(&s)["differences"][0]["what"], "source_name");
    // The output records its folder.
    s.z("gcc -g -c a.c -o a.o").ok();
    let other = s.aside("other");
    s.cwd = other;
    s.z(&format!("gcc -g -c {} -o {}", s.path("a.c").display(), s.path("a.o").display())).ok();
    let cause = last_cause(&s);
    let kinds: Vec<_> = cause["differences"].as_array().unwrap().iter().collect();
    assert!(kinds.iter().any(|one| one["what"] == "folder"), "{cause}");
    assert_eq!(cause["reason"], "command_changed");
}

#[test]
fn a_file_is_asked_about_by_any_of_its_names() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    s.write("b.c", HELLO);
    s.z(COMPILE).ok();
    s.z("gcc -c b.c -o b.o").ok();
    for name in ["a.c", "./a.o", "../work/a.c", s.path("a.o").to_str().unwrap()] {
        let told = s.z(&["why", name]).ok().out();
        assert!(told.contains("-c a.c -o a.o") && told.contains("new_action"), "{name}: {told}");
        assert_eq!(told.lines().filter(|line| line.contains(" miss ")).count(), 1, "{told}");
    }
    // A hit, and what was before it.
    s.z(COMPILE).ok();
    let told = s.z("why a.c").ok().out();
    assert!(told.contains("  hit  ") && told.contains("new_action"), "{told}");
    let told = s.z("why --last 3").ok().out();
    assert!(told.contains("3 commands: 1 hits, 2 misses"), "{told}");
}

#[test]
fn explain_says_what_would_happen_and_does_nothing() {
    let s = Sandbox::new();
    s.write("a.c", HELLO);
    let words = format!("explain --json -- {COMPILE}");
    let explain = || -> Value { serde_json::from_str(&s.z(&words).ok().out()).unwrap() };
    let calls = s.calls();
    let told = explain();
    assert_eq!(told["outcome"], "miss");
    assert_eq!(told["causes"][0]["reason"], "new_action");
    assert_eq!((s.calls(), s.exists("a.o")), (calls, false));
    assert_eq!(s.status()["compilations"], 0);
    assert!(s.blobs().is_empty());

    s.warm_once(COMPILE);
    let told = explain();
    assert_eq!(told["outcome"], "hit");
    let unit = &told["units"][0];
    let key = unit["key"].as_str().unwrap();
    assert_eq!(why(&s, "a.c")["lines"][0]["key"], key);
    assert_eq!(unit["outputs"], json!([s.path("a.o")]));
    let parts = unit["parts"].as_array().unwrap();
    assert!(parts.contains(&json!({ "part": "source", "value": "a.c" })), "{parts:?}");
    let text = s.z(&format!("explain -- {COMPILE}")).ok().out();
    assert!(text.starts_with("would be a hit\n") && text.contains(key), "{text}");

    s.write("a.c", format!("{HELLO}int y;\n"));
    let told = explain();
    assert_eq!(told["outcome"], "miss");
    assert_eq!(told["causes"][0]["differences"][0]["path"], s.path("a.c").to_str().unwrap());
    let refused = s.z("explain -- gcc -c a.c -fplugin=x.so").ok().out();
    assert!(
        refused.starts_with("would run as it is\n") && refused.contains("-fplugin"),
        "{refused}"
    );
    assert_eq!(s.status()["compilations"], 2);
}

#[test]
fn inspect_tells_what_a_result_is() {
    let s = Sandbox::new();
    s.write("a.h", "");
    s.write("a.c", format!("#include \"a.h\"\n{HELLO}"));
    s.z("gcc -MD -c a.c -o a.o").ok();
    let key = why(&s, "--last 1")["lines"][0]["key"].as_str().unwrap().to_owned();
    let text = s.z(&format!("inspect {key}")).ok().out();
    for word in [&key, "/gcc (gcc)", "Main, ", "Dependencies, ", s.path("a.c").to_str().unwrap()] {
        assert!(text.contains(word), "{word} in {text}");
    }
    // Without a daemon as well, and by the beginning of the key.
    s.z("stop").ok();
    let said = s.z(&format!("inspect {} --json", &key[..12])).ok();
    let told: Value = serde_json::from_str(&said.out()).unwrap();
    assert_eq!(told["key"], key.as_str());
    assert_eq!(told["outputs"].as_array().unwrap().len(), 2);
    let read = told["read"].as_array().unwrap();
    assert!(read.contains(&json!("a.h")) && read.contains(&json!("a.c")), "{read:?}");
    assert!(told["compile_ns"].as_u64() > Some(0) && told["bytes"].as_u64() > Some(0));
    assert!(s.daemons().is_empty());
}
