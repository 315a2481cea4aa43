//! `zccache ino`: sketches become C++ that compiles. The header stands for the Arduino core;
//! the compiler is a bare g++.

use std::fs;

use crate::kit::{SYSTEM_PATH, Sandbox, have};

/// As much of the Arduino core as these sketches use.
const ARDUINO: &str = r#"
#pragma once
#include <stddef.h>
#include <stdint.h>
typedef uint8_t byte;
typedef bool boolean;
#define HIGH 1
#define LOW 0
#define OUTPUT 1
#define PROGMEM
#define IRAM_ATTR __attribute__((noinline))
#define ISR(vector) extern "C" void vector(void)
class String {
public:
    String(const char *text = "");
    String(int number);
    String operator+(const String &other) const;
};
struct Port { void begin(long); void println(const String &); void println(int); };
extern Port Serial;
void pinMode(int, int);
void digitalWrite(int, int);
void delay(unsigned long);
void attachInterrupt(int, void (*)(), int);
unsigned long millis();
"#;

/// Uses before definitions, of every kind that real sketches have.
const SKETCH: &str = r##"// Blinks, and more.
#include "parts.h"
#define COUNT 3

struct Timer { void (*then)(); unsigned long every; };
Timer timers[] = { { tick, 1000 }, { blink, 500 } };

enum Mode { SLOW, FAST };

void setup() {
  pinMode(13, OUTPUT);
  Serial.begin(9600);
  attachInterrupt(2, isr, 1);
  setMode(FAST);
  Point p = middle({ 0, 0 }, { 2, 2 });
  Serial.println(describe(p));
  Serial.println(sum(1) + corner());
}

void loop() {
  for (int i = 0; i < COUNT; i++) run(timers[i % 2]);
  Serial.println(twice(21));
  level(HIGH);
}

struct Point2 { int x; };   // declared between functions
Point2 shift(const Point2 &p) { return p; }

void run(Timer &timer) { timer.then(); }
void tick() { Serial.println("tick"); }
static void blink() {
  static bool on; // a brace { in a comment
  digitalWrite(13, on = !on);
}
void IRAM_ATTR isr() { }
void setMode(Mode mode) { if (mode == FAST) delay(1); }
String describe(const Point &p,  // where
                const char *name = "a, (b) = c" /* what */) { return String(name) + String(p.x); }
Point middle(Point a, Point b)
{
  Point m = { (a.x + b.x) / 2, (a.y + b.y) / 2 };
  return m;
}
int corner(Point p = { 3, 4 }) { return p.x; }
int sum(int a, int b = 2, int c = COUNT) { return a + b + c; }
template <typename T> T twice(T value) { return value + value; }
inline void level(int value) { digitalWrite(12, value); }
void (*chosen(int n))() { return n ? tick : blink; }
auto deduced() { return 1; }
extern "C" { void for_c(int n) { (void)n; } }
extern "C" int also_for_c() { return 1; }
ISR(TIMER1_vect) { }
namespace inner { int hidden() { return 1; } }
class Thing { public: int value(); };
int Thing::value() { return inner::hidden(); }
#ifdef DEBUGGING
void debugging() { missing(); }
#endif
#if COUNT > 2
int counted(Point2 p) { return p.x; }
#endif
"##;

const PARTS: &str = "#pragma once\nstruct Point { int x, y; };\n";

fn sandbox() -> Option<Sandbox> {
    if !have("clang") {
        return None;
    }
    let s = Sandbox::new();
    s.write("core/Arduino.h", ARDUINO);
    s.write("blink/parts.h", PARTS);
    s.write("blink/blink.ino", SKETCH);
    Some(s)
}

const CONVERT: &str = "ino --input blink/blink.ino --output out/blink.ino.cpp --clang-arg -Icore";
const COMPILE: &str = "g++ -fsyntax-only -Wall -Wno-unused -Icore -Iblink out/blink.ino.cpp";

#[test]
fn what_a_sketch_uses_before_its_definition_is_declared() {
    let Some(s) = sandbox() else { return };
    // Bare, it does not compile.
    s.write("out/blink.ino.cpp", format!("#include <Arduino.h>\n{SKETCH}"));
    assert!(!s.bare(COMPILE).status.success());
    s.z(CONVERT).ok();
    s.bare(COMPILE).ok();
    let text = String::from_utf8(s.read("out/blink.ino.cpp")).unwrap();
    assert!(text.starts_with("#include <Arduino.h>\n"));
    for prototype in [
        "void setup();",
        "static void blink();",
        "int sum(int a, int b = 2, int c = COUNT);",
        "String describe(const Point &p, const char *name = \"a, (b) = c\" );",
        "template <typename T> T twice(T value);",
        "void (*chosen(int n))();",
        "extern \"C\" void for_c(int n);",
    ] {
        assert!(text.lines().any(|line| line == prototype), "no {prototype}\n{text}");
    }
    for not in ["deduced();", "TIMER1_vect();", "hidden();", "value();", "debugging();"] {
        assert!(!text.lines().any(|line| line.ends_with(not)), "{not}\n{text}");
    }
}

#[test]
fn lines_are_kept() {
    let Some(s) = sandbox() else { return };
    let broken = SKETCH.replace("delay(1)", "no_such_function(1)");
    s.write("blink/blink.ino", &broken);
    s.z(CONVERT).ok();
    let line = broken.lines().position(|line| line.contains("no_such_function")).unwrap() + 1;
    let said = s.bare(COMPILE).err();
    assert!(said.contains(&format!("blink/blink.ino:{line}:")), "{said}");
    // Without what was added, it is the sketch.
    let text = String::from_utf8(s.read("out/blink.ino.cpp")).unwrap();
    let moved = |line: &&str| line.contains(" = ") && line.contains('(');
    for line in broken.lines().filter(|line| !line.trim().is_empty() && !moved(line)) {
        assert!(text.lines().any(|other| other == line), "{line}");
    }
}

#[test]
fn without_the_core_it_is_read_as_well() {
    let Some(s) = sandbox() else { return };
    s.z("ino --input blink/blink.ino --output out/blink.ino.cpp").ok();
    s.bare(COMPILE).ok();
    let output = s.z("ino --no-arduino-include --input blink/blink.ino").ok();
    assert!(!output.out().contains("#include <Arduino.h>"));
}

#[test]
fn a_folder_of_sketches_is_one_text() {
    let Some(s) = sandbox() else { return };
    s.write("blink/a_first.ino", "int later() { return 7; }\nvoid unused() { setup(); }\n");
    s.write("blink/z.ino", "#line 1 \"z\"\nint last(Mode m) { return later(); }");
    s.z("ino --input blink --output out/blink.ino.cpp --clang-arg -Icore").ok();
    s.bare(COMPILE).ok();
    let text = String::from_utf8(s.read("out/blink.ino.cpp")).unwrap();
    let at = |name: &str| text.find(&format!("#line 1 \"blink/{name}.ino\"")).unwrap();
    assert!(at("blink") < at("a_first") && at("a_first") < at("z"));
}

#[test]
fn results_are_kept_by_content() {
    let Some(mut s) = sandbox() else { return };
    // A clang that tells of each tree it makes.
    let folder = s.aside("bin");
    let script = "#!/bin/sh\ncase \"$*\" in *ast-dump*) echo x >>\"$TREES\";; esac\nexec /usr/bin/clang \"$@\"\n";
    s.script(folder.join("clang++"), script);
    s.path_first(&folder);
    let log = s.aside("log").join("trees");
    s.set("TREES", &log);
    let trees = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let convert = |expected: usize| {
        let before = trees();
        s.z(CONVERT).ok();
        assert_eq!(trees() - before, expected);
        s.read("out/blink.ino.cpp")
    };
    let first = convert(1);
    s.remove("out");
    assert_eq!(convert(0), first);
    // An edit of a header that is included, of the sketch's comments, and back.
    s.write("blink/parts.h", PARTS.replace("int x", "long x"));
    convert(1);
    s.write("blink/parts.h", PARTS);
    assert_eq!(convert(0), first);
    s.write("blink/blink.ino", format!("// edited\n{SKETCH}"));
    convert(1);
    s.write("blink/blink.ino", SKETCH);
    assert_eq!(convert(0), first);
    // Damaged, they are made again.
    for entry in fs::read_dir(s.cache.join("ino")).unwrap() {
        fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    assert_eq!(convert(1), first);
    s.z("clear").ok();
    assert_eq!(convert(1), first);
}

#[test]
fn what_is_missing_is_said_in_one_line() {
    let Some(mut s) = sandbox() else { return };
    let output = s.z("ino --input none.ino").code(1);
    assert!(output.err().contains("none.ino: No such file"), "{}", output.err());
    s.z("ino").code(2);
    s.z("ino --input a b").code(2);
    fs::create_dir(s.path("empty")).unwrap();
    assert!(s.z("ino --input empty").code(1).err().contains("no .ino file"));
    let empty = s.aside("bin");
    s.set("PATH", &empty);
    let output = s.z(CONVERT).code(1);
    assert!(output.err().contains("no clang on PATH"), "{}", output.err());
    assert_eq!(output.err().lines().count(), 1);
    // Another version's name will do.
    s.set("PATH", format!("{}:{SYSTEM_PATH}", empty.display()));
    std::os::unix::fs::symlink("/usr/bin/clang", empty.join("clang-99")).unwrap();
    s.z(CONVERT).ok();
    // One that breaks is told apart.
    s.script(empty.join("clang++"), "#!/bin/sh\necho 'it broke' >&2\nexit 1\n");
    let output = s.z(CONVERT.replace("blink/blink.ino", "blink/../blink/blink.ino").as_str());
    assert!(output.code(1).err().contains("clang can't read the sketch: it broke"));
}
