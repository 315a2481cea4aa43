mod ahead;

use crate::files::ContentHash;
use std::collections::{BTreeSet, HashMap};

use super::*;
use crate::inputs::scan::{scan, scan_assembly};
use crate::inputs::search::{ForcedHeader, Search};

#[derive(Default)]
struct Fake {
    names: Vec<Arc<[u8]>>,
    numbers: HashMap<Vec<u8>, u32>,
    files: HashMap<Vec<u8>, (u64, Vec<u8>)>,
    folders: HashMap<Vec<u8>, u64>,
    scans: HashMap<(u64, bool), Arc<Scan>>,
    version: u64,
    /// Of what lies behind links.
    own_paths: HashMap<Vec<u8>, Vec<u8>>,
    /// The names that somebody asked about.
    looked: BTreeSet<Vec<u8>>,
}

impl Fake {
    fn new(files: &[(&str, &str)]) -> Fake {
        let mut fake = Fake::default();
        for (name, text) in files {
            fake.add(name, text);
        }
        fake
    }

    fn add(&mut self, name: &str, text: &str) {
        self.version += 1;
        let id = 100 + self.version;
        self.files.insert(name.into(), (id, text.into()));
        let folder = crate::inputs::search::parent(name.as_bytes());
        let next = 1 + self.folders.len() as u64;
        self.folders.entry(folder.to_vec()).or_insert(next);
    }

    fn show(&self, paths: &[PathRef]) -> Vec<String> {
        let mut names: Vec<String> =
            paths.iter().map(|p| String::from_utf8_lossy(&self.spelled(*p)).into_owned()).collect();
        names.sort();
        names
    }
}

impl World for Fake {
    fn version(&self) -> u64 {
        self.version
    }
    fn intern(&mut self, spelled: &[u8]) -> PathRef {
        if let Some(&number) = self.numbers.get(spelled) {
            return PathRef(number);
        }
        let number = self.names.len() as u32;
        self.names.push(spelled.into());
        self.numbers.insert(spelled.into(), number);
        PathRef(number)
    }
    fn spelled(&self, path: PathRef) -> Arc<[u8]> {
        self.names[path.0 as usize].clone()
    }
    fn presence(&mut self, path: PathRef) -> Presence {
        let name: &[u8] = &self.names[path.0 as usize];
        self.looked.insert(name.to_vec());
        if let Some(file) = self.files.get(name) {
            Presence::File(file.0)
        } else if let Some(&id) = self.folders.get(if name == b"." { &b""[..] } else { name }) {
            Presence::Folder(id)
        } else {
            Presence::Absent
        }
    }
    fn own_path(&self, path: PathRef) -> Option<Vec<u8>> {
        self.own_paths.get(&*self.names[path.0 as usize]).cloned()
    }
    fn content(&mut self, path: PathRef) -> Option<(ContentHash, u64)> {
        let file = self.files.get(&*self.names[path.0 as usize])?;
        Some((ContentHash(*blake3::hash(&file.1).as_bytes()), file.1.len() as u64))
    }
    fn dated(&mut self, path: PathRef) -> Option<(u64, i64)> {
        let file = self.files.get(&*self.names[path.0 as usize])?;
        Some((file.1.len() as u64, 0))
    }
    fn scan(&mut self, path: PathRef, assembly: bool) -> Option<Arc<Scan>> {
        let (id, text) = self.files.get(&*self.names[path.0 as usize])?;
        let scan = self
            .scans
            .entry((*id, assembly))
            .or_insert_with(|| Arc::new(if assembly { scan_assembly(text) } else { scan(text) }));
        Some(scan.clone())
    }
}

fn args(names: &[&str]) -> Vec<Arg> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

fn forced_header(name: &str, or_compiled: bool) -> ForcedHeader {
    ForcedHeader { name: name.into(), or_compiled }
}

fn angles(names: &[&str], own: &[&str]) -> SearchPath {
    SearchPath::new(&Search { angle: args(names), ..Search::default() }, &[], &[], &args(own))
}

fn question<'a>(search: &'a SearchPath, read: Read<'a>) -> Question<'a> {
    Question {
        source: b"m.c",
        language: Language::Cxx,
        flavor: Flavor::Gcc,
        search,
        forced: &[],
        defines: &[],
        read,
        precompiled: false,
        records_times: false,
        checks_times: false,
        assembler_folders: &[],
        assembler_listed: false,
        without_own: false,
        canonical: true,
    }
}

struct Answer {
    read: Vec<String>,
    absent: Vec<String>,
    exists: Vec<String>,
    set: InputSet,
}

fn ask(fake: &mut Fake, question: &Question<'_>) -> Result<Answer, Reason> {
    let mut resolver = Resolver::new();
    let set = resolve(fake, &mut resolver, question)?;
    // The second time everything comes from memory, and must be the same.
    assert_eq!(resolve(fake, &mut resolver, question).as_ref(), Ok(&set));
    let mut absent = fake.show(&set.absent);
    absent.retain(|name| !name.ends_with("stdc-predef.h"));
    Ok(Answer { read: fake.show(&set.read), absent, exists: fake.show(&set.exists), set })
}

fn complete(fake: &mut Fake, folders: &[&str], list: &[&str]) -> Result<Answer, Reason> {
    let (search, list) = (angles(folders, &["/usr/include"]), args(list));
    ask(fake, &question(&search, Read::Complete(&list)))
}

fn by_text(fake: &mut Fake, folders: &[&str]) -> Result<Answer, Reason> {
    let search = angles(folders, &["/usr/include"]);
    ask(fake, &question(&search, Read::Nothing))
}

#[test]
fn earlier_folders() {
    let text = "#include \"x.h\"\n#include <y.h>\n#if 0\n#include <dead.h>\n#endif\n";
    let mut fake = Fake::new(&[("m.c", text), ("j/x.h", ""), ("j/y.h", "")]);
    let answer = complete(&mut fake, &["i", "j", "k"], &["./m.c", "j//x.h", "j/y.h"]).unwrap();
    assert_eq!(answer.read, ["j/x.h", "j/y.h", "m.c"]);
    assert_eq!(answer.absent, ["i/x.h", "i/y.h", "x.h"]);
}

#[test]
fn beside_the_includer() {
    let mut fake =
        Fake::new(&[("m.c", "#include <a.h>"), ("j/a.h", "#include \"b.h\""), ("k/b.h", "")]);
    let answer = complete(&mut fake, &["j", "k"], &["m.c", "j/a.h", "k/b.h"]).unwrap();
    assert_eq!(answer.absent, ["j/b.h"]);
}

#[test]
fn same_folder_twice() {
    // `-I sys2`, the same folder as the later `/usr/include`, is dropped by the compilers.
    let mut fake = Fake::new(&[("m.c", "#include <a.h>"), ("/usr/include/a.h", "")]);
    let file = fake.files[&b"/usr/include/a.h".to_vec()].clone();
    fake.files.insert(b"sys2/a.h".to_vec(), file);
    let id = fake.folders[&b"/usr/include".to_vec()];
    fake.folders.insert(b"sys2".to_vec(), id);
    let answer = complete(&mut fake, &["sys2", "i"], &["m.c", "/usr/include/a.h"]).unwrap();
    assert_eq!(answer.absent, ["i/a.h"]);
    assert!(answer.read.contains(&"sys2/a.h".to_string()));
}

#[test]
fn canonical_spelling_in_the_list() {
    let mut fake = Fake::new(&[("m.c", "#include <a.h>"), ("/usr/include/a.h", "")]);
    let file = fake.files[&b"/usr/include/a.h".to_vec()].clone();
    fake.files.insert(b"/usr/lib/../include/a.h".to_vec(), file);
    let answer = complete(&mut fake, &["i", "/usr/lib/../include"], &["m.c", "/usr/include/a.h"]);
    assert_eq!(answer.unwrap().absent, ["i/a.h"]);
}

#[test]
fn system_headers_behind_a_link() {
    let search = Search { system: args(&["dep/now"]), ..Search::default() };
    let search = SearchPath::new(&search, &[], &[], &args(&["/usr/include"]));
    let mut fake = Fake::new(&[("m.c", "#include <h.h>\n"), ("/w/1/h.h", "#include \"sub.h\"\n")]);
    fake.add("/w/1/sub.h", "");
    fake.add("dep/now/h.h", "#include \"sub.h\"\n");
    fake.files.get_mut(&b"dep/now/h.h"[..]).unwrap().0 = fake.files[&b"/w/1/h.h"[..]].0;
    for (link, own) in [("dep/now", "/w/1"), ("dep/now/h.h", "/w/1/h.h")] {
        fake.own_paths.insert(link.into(), own.into());
    }
    let answer = ask(&mut fake, &question(&search, Read::Nothing)).unwrap();
    assert_eq!(answer.read, ["/w/1/h.h", "/w/1/sub.h", "dep/now/h.h", "m.c"]);
    assert_eq!(fake.show(&answer.set.linked), ["/w/1/h.h", "/w/1/sub.h", "dep/now", "dep/now/h.h"]);
    // A list that was made while the link led elsewhere.
    let list = args(&["m.c", "/w/2/h.h"]);
    fake.add("/w/2/h.h", "#include \"sub.h\"\n");
    let answer = ask(&mut fake, &question(&search, Read::Complete(&list))).unwrap();
    let passed = fake.show(&answer.set.passed);
    assert!(["dep/now/h.h", "/w/2/sub.h"].iter().all(|path| passed.iter().any(|one| one == path)));
    // What is gone already leaves no trace but this.
    let answer =
        ask(&mut Fake::new(&[("m.c", "#include <h.h>\n")]), &question(&search, Read::Nothing));
    let set = answer.unwrap().set;
    assert!(!set.passed.is_empty() && set.absent.is_empty());
    let plain = Question { canonical: false, ..question(&search, Read::Nothing) };
    assert!(ask(&mut fake, &plain).unwrap().set.linked.is_empty());
}

#[test]
fn next_never_stops() {
    let files = [("m.c", "#include <a.h>"), ("i/a.h", "#include_next <a.h>"), ("k/a.h", "")];
    let mut fake = Fake::new(&files);
    let list = ["m.c", "i/a.h", "k/a.h"];
    let answer = complete(&mut fake, &["i", "j", "k", "l"], &list).unwrap();
    assert_eq!(answer.absent, ["/usr/include/a.h", "j/a.h", "l/a.h"]);
}

#[test]
fn has_include() {
    let text = "#if __has_include(<a.h>) || __has_include(\"b.h\")\n#endif";
    let mut fake = Fake::new(&[("m.c", text), ("j/a.h", "")]);
    let answer = complete(&mut fake, &["i", "j", "k"], &["m.c"]).unwrap();
    assert_eq!(answer.exists, ["j/a.h"]);
    let all = ["/usr/include/b.h", "b.h", "i/a.h", "i/b.h", "j/b.h", "k/b.h"];
    assert_eq!(answer.absent, all);
}

#[test]
fn computed() {
    // A literal definition in another file, through an alias.
    let text = "#include \"c.h\"\n#include NAME\n";
    let mut fake =
        Fake::new(&[("m.c", text), ("c.h", "#define NAME O\n#define O <x.h>"), ("j/x.h", "")]);
    let answer = complete(&mut fake, &["i", "j"], &["m.c", "c.h", "j/x.h"]).unwrap();
    assert_eq!(answer.absent, ["i/x.h"]);
    // By text, the definition is found later than its use.
    let answer = by_text(&mut fake, &["i", "j"]).unwrap();
    assert_eq!(answer.read, ["c.h", "j/x.h", "m.c"]);
    // Nothing explains it: earlier folders by its relative name.
    let mut fake = Fake::new(&[("m.c", "#include F(x)"), ("j/s/x.h", "")]);
    let answer = complete(&mut fake, &["i", "j"], &["m.c", "j/s/x.h"]).unwrap();
    assert_eq!(answer.absent, ["i/s/x.h", "s/x.h"]);
    assert_eq!(by_text(&mut fake, &["j"]).err(), Some(Reason::ComputedInclude));
    // Defined by nothing: not taken, or the compile would have failed.
    let mut fake = Fake::new(&[("m.c", "#include NAME")]);
    assert_eq!(by_text(&mut fake, &["j"]).unwrap().read, ["m.c"]);
    for text in ["#define NAME F(x)\n#include NAME", "#include __BASE_FILE__"] {
        let mut fake = Fake::new(&[("m.c", text)]);
        assert_eq!(by_text(&mut fake, &["j"]).err(), Some(Reason::ComputedInclude), "{text}");
    }
    // From the command line.
    let search = angles(&["i", "j"], &[]);
    let mut fake = Fake::new(&[("m.c", "#include NAME"), ("j/x.h", "")]);
    let defines = args(&["NAME=<x.h>"]);
    let mut asked = question(&search, Read::Nothing);
    asked.defines = &defines;
    assert_eq!(ask(&mut fake, &asked).unwrap().read, ["j/x.h", "m.c"]);
}

#[test]
fn computed_has_include() {
    let mut fake = Fake::new(&[("m.c", "#if __has_include(NAME)\n#endif")]);
    assert_eq!(complete(&mut fake, &["i"], &["m.c"]).err(), Some(Reason::ComputedInclude));
    let text = "#define H(x) __has_include(x)\n#if H(NAME)\n#endif";
    let mut fake = Fake::new(&[("m.c", text)]);
    assert_eq!(complete(&mut fake, &["i"], &["m.c"]).err(), Some(Reason::ComputedInclude));
    fake.add("c.h", "#define NAME \"n.h\"");
    let answer = complete(&mut fake, &["i"], &["m.c", "c.h"]).unwrap();
    assert_eq!(answer.absent, ["/usr/include/n.h", "i/n.h", "n.h"]);
}

#[test]
fn by_text_alone() {
    let files = [
        ("m.c", "#include <a.h>\n#ifdef X\n#include <dead.h>\n#endif\n"),
        ("j/a.h", "#include \"../j/b.h\"\n"),
        ("j/b.h", "#include \"../j/a.h\"\n#include_next <n.h>"),
        ("j/n.h", ""),
        ("k/n.h", ""),
        ("/usr/include/stdc-predef.h", ""),
    ];
    let mut fake = Fake::new(&files);
    for (alias, name) in [("j/../j/b.h", "j/b.h"), ("j/../j/../j/a.h", "j/a.h")] {
        let file = fake.files[&name.as_bytes().to_vec()].clone();
        fake.files.insert(alias.into(), file);
        let folder = crate::inputs::search::parent(alias.as_bytes()).to_vec();
        let id = fake.folders[&b"j".to_vec()];
        fake.folders.insert(folder, id);
    }
    let answer = by_text(&mut fake, &["i", "j", "k"]).unwrap();
    for name in ["m.c", "j/a.h", "j/../j/b.h", "j/n.h", "k/n.h", "/usr/include/stdc-predef.h"] {
        assert!(answer.read.contains(&name.to_string()), "{name} {:?}", answer.read);
    }
    assert_eq!(answer.absent, ["/usr/include/n.h", "i/a.h", "i/n.h"]);
    let (search, list) = (angles(&["j"], &["/usr/include"]), args(&["m.c", "j/a.h"]));
    let answer = ask(&mut fake, &question(&search, Read::UserHeaders(&list))).unwrap();
    assert!(answer.read.contains(&"/usr/include/stdc-predef.h".to_string()));
}

#[test]
fn precompiled() {
    let mut fake = Fake::new(&[
        ("m.c", "#include \"x.h\""),
        ("j/x.h", "#include \"y.h\"\n__TIME__"),
        ("j/y.h", ""),
    ]);
    let search = angles(&["i", "j", "k"], &[]);
    let list = args(&["m.c", "j/x.h", "j/y.h"]);
    let mut asked = question(&search, Read::Complete(&list));
    asked.precompiled = true;
    let mut answer = ask(&mut fake, &asked).unwrap();
    assert_eq!(answer.absent.iter().filter(|n| n.ends_with("stdc-predef.h.gch")).count(), 3);
    answer.absent.retain(|name| !name.contains("stdc-predef"));
    assert_eq!(answer.absent, ["i/x.h", "i/x.h.gch", "j/x.h.gch", "m.c.gch", "x.h", "x.h.gch"]);
    // gcc's list leaves all of it out then.
    fake.add("j/x.h.gch", "tokens");
    let list = args(&["m.c"]);
    asked.read = Read::Complete(&list);
    let answer = ask(&mut fake, &asked).unwrap();
    assert_eq!(answer.read, ["j/x.h", "j/x.h.gch", "j/y.h", "m.c"]);
    assert!(answer.set.time);
    fake.files.remove(b"j/x.h.gch".as_slice());
    fake.folders.insert(b"j/x.h.gch".to_vec(), 77);
    assert_eq!(ask(&mut fake, &asked).err(), Some(Reason::UncacheableArgument));
    // clang: only forced ones; `-include-pch` names the file itself.
    let mut fake = Fake::new(&[("m.c", "#include \"x.h\""), ("p.h.pch", ""), ("x.h", "")]);
    let (list, forced) = (args(&["m.c", "x.h"]), [forced_header("p.h.pch", false)]);
    let mut asked = question(&search, Read::Complete(&list));
    (asked.precompiled, asked.flavor, asked.forced) = (true, Flavor::Clang, &forced);
    let answer = ask(&mut fake, &asked).unwrap();
    assert_eq!(answer.read, ["m.c", "p.h.pch", "x.h"]);
    assert!(!answer.absent.contains(&"x.h.gch".to_string()));
    assert!(!answer.absent.contains(&"p.h.pch.pch".to_string()));
    let (list, forced) = (args(&["m.c", "p.h", "x.h"]), [forced_header("p.h", true)]);
    let mut asked = question(&search, Read::Complete(&list));
    (asked.precompiled, asked.flavor, asked.forced) = (true, Flavor::Clang, &forced);
    fake.add("p.h", "");
    let answer = ask(&mut fake, &asked).unwrap();
    assert_eq!(answer.read, ["m.c", "p.h", "p.h.pch", "x.h"]);
}

#[test]
fn forced() {
    let mut fake = Fake::new(&[("m.c", ""), ("j/f.h", "")]);
    let search = angles(&["i", "j"], &[]);
    let (list, forced) = (args(&["m.c", "j/f.h"]), [forced_header("f.h", true)]);
    let mut asked = question(&search, Read::Complete(&list));
    asked.forced = &forced;
    assert_eq!(ask(&mut fake, &asked).unwrap().absent, ["f.h", "i/f.h"]);
}

#[test]
fn times() {
    let mut fake = Fake::new(&[("m.c", "#include \"t.h\""), ("t.h", "__TIME__ __TIMESTAMP__")]);
    let answer = complete(&mut fake, &[], &["m.c", "t.h"]).unwrap();
    assert!(answer.set.time && !answer.set.date);
    assert_eq!(answer.set.stamped, answer.set.read);
    let search = angles(&[], &[]);
    let (list, defines) = (args(&["m.c", "t.h"]), args(&["NOW=__DATE__"]));
    let mut asked = question(&search, Read::Complete(&list));
    asked.defines = &defines;
    assert!(ask(&mut fake, &asked).unwrap().set.date);
}

#[test]
fn assembler() {
    let text = "asm(\".incbin \\\"d.bin\\\"\");\n";
    let mut fake = Fake::new(&[("m.c", text), ("i/d.bin", "")]);
    let answer = complete(&mut fake, &["i"], &["m.c"]).unwrap();
    assert_eq!(
        (answer.read, answer.absent),
        (args_text(&["i/d.bin", "m.c"]), args_text(&["d.bin"]))
    );
    let mut fake = Fake::new(&[("m.c", "asm(\".incbin \" NAME);")]);
    assert_eq!(complete(&mut fake, &[], &["m.c"]).err(), Some(Reason::AssemblerInput));
    // A pasted directive in one file, `asm` in another.
    let mut fake = Fake::new(&[("m.c", "asm(X);"), ("x.h", "#define X \".inc\" \"bin f\"")]);
    assert_eq!(complete(&mut fake, &[], &["m.c", "x.h"]).err(), Some(Reason::AssemblerInput));
    let (search, list) = (angles(&[], &[]), args(&["m.c", "x.h"]));
    let mut asked = question(&search, Read::Complete(&list));
    asked.assembler_listed = true;
    assert!(ask(&mut fake, &asked).is_ok());
    // No `asm` anywhere, or only in the compiler's own headers.
    let mut fake = Fake::new(&[("m.c", "s = \".inc\";"), ("/usr/include/a.h", "asm(\".incbin\")")]);
    assert!(complete(&mut fake, &[], &["m.c", "/usr/include/a.h"]).is_ok());
}

fn args_text(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[test]
fn assembly_source() {
    let mut fake = Fake::new(&[
        ("m.s", ".include \"a.inc\"\n"),
        ("a.inc", ".incbin \"b\"\n# include <n.h>"),
        ("b", ""),
    ]);
    let search = angles(&["i"], &[]);
    let mut asked = question(&search, Read::Nothing);
    (asked.source, asked.language) = (b"m.s", Language::Assembler);
    let answer = ask(&mut fake, &asked).unwrap();
    assert_eq!(answer.read, ["a.inc", "b", "m.s"]);
    assert!(answer.absent.is_empty());
}

#[test]
fn refusals() {
    let mut fake = Fake::new(&[("m.c", "import x;\n")]);
    assert_eq!(complete(&mut fake, &[], &["m.c"]).err(), Some(Reason::Modules));
    let mut fake = Fake::new(&[("m.c", "#pragma GCC dependency \"x\"\n")]);
    assert_eq!(complete(&mut fake, &[], &["m.c"]).err(), Some(Reason::UncacheableArgument));
    assert_eq!(
        complete(&mut fake, &[], &["m.c", "gone.h"]).err(),
        Some(Reason::ChangedDuringCompile)
    );
}

#[test]
fn what_was_remembered_goes_with_a_change() {
    let mut fake =
        Fake::new(&[("m.c", "#include <a.h>"), ("j/a.h", "#include <b.h>"), ("j/b.h", "")]);
    let search = angles(&["i", "j"], &["/usr/include"]);
    let mut resolver = Resolver::new();
    let mut names = |fake: &mut Fake, list: &[&str]| {
        let list = args(list);
        let set = resolve(fake, &mut resolver, &question(&search, Read::Complete(&list))).unwrap();
        (fake.show(&set.read), fake.show(&set.absent))
    };
    let (read, absent) = names(&mut fake, &["m.c", "j/a.h", "j/b.h"]);
    assert_eq!(read, ["j/a.h", "j/b.h", "m.c"]);
    assert!(absent.contains(&"i/b.h".to_string()));
    // Another header comes before one of them, and brings another text.
    fake.add("i/b.h", "#include \"c.h\"");
    fake.add("i/c.h", "");
    let (read, absent) = names(&mut fake, &["m.c", "j/a.h", "i/b.h", "i/c.h"]);
    assert_eq!(read, ["i/b.h", "i/c.h", "j/a.h", "m.c"]);
    assert!(!absent.contains(&"i/b.h".to_string()));
}

#[test]
fn own_headers_may_be_left_out() {
    let files = [
        ("m.c", "#include <a.h>"),
        ("/usr/include/a.h", "#include <b.h>"),
        ("/usr/include/b.h", ""),
    ];
    let (mut fake, search) = (Fake::new(&files), angles(&["i"], &["/usr/include"]));
    let mut resolver = Resolver::new();
    let ahead = question(&search, Read::Nothing).ahead();
    let set = resolve(&mut fake, &mut resolver, &ahead).unwrap();
    assert_eq!(fake.show(&set.read), ["/usr/include/a.h", "m.c"]);
    // That says nothing about who wants all of it, and the other way round.
    let all = resolve(&mut fake, &mut resolver, &question(&search, Read::Nothing)).unwrap();
    assert_eq!(fake.show(&all.read), ["/usr/include/a.h", "/usr/include/b.h", "m.c"]);
    assert_eq!(resolve(&mut fake, &mut resolver, &ahead), Ok(set));
}

#[test]
fn relations() {
    // A folder in a header's place.
    let mut fake = Fake::new(&[("m.c", "#include <x.h>"), ("i/x.h/y", ""), ("j/x.h", "")]);
    let answer = complete(&mut fake, &["i", "j"], &["m.c", "j/x.h"]).unwrap();
    assert_eq!(answer.exists, ["i/x.h"]);
    assert_eq!(fake.show(&answer.set.related), ["/usr/include", "i", "j"]);
    // gcc does not list what it took for a file it had read; what stands before it counts.
    let once = "#pragma once\n";
    let files = [("m.c", "#include \"x.h\"\n#include <y.h>"), ("x.h", once), ("j/y.h", once)];
    let mut fake = Fake::new(&files);
    let answer = complete(&mut fake, &["i", "j"], &["m.c", "x.h"]).unwrap();
    assert_eq!(answer.read, ["j/y.h", "m.c", "x.h"]);
    assert_eq!(answer.absent, ["i/y.h"]);
    assert_eq!(fake.show(&answer.set.coeval), ["j/y.h", "x.h"]);
    // Without `once`, or for clang by inode.
    let files = [("m.c", "#include \"x.h\"\n#include <y.h>"), ("x.h", ""), ("j/y.h", "")];
    let mut fake = Fake::new(&files);
    let answer = complete(&mut fake, &["j"], &["m.c", "x.h", "j/y.h"]).unwrap();
    assert!(answer.set.coeval.is_empty());
    let (search, list) = (angles(&["j"], &[]), args(&["m.c", "x.h", "j/y.h"]));
    let mut asked = question(&search, Read::Complete(&list));
    asked.flavor = Flavor::Clang;
    let answer = ask(&mut fake, &asked).unwrap();
    assert_eq!(fake.show(&answer.set.related), ["j", "j/y.h", "x.h"]);
}
