//! Before a compile everything is looked at, though most of it is not gone through again.

use std::collections::BTreeSet;

use super::*;

/// What else a command says.
struct Line {
    language: Language,
    canonical: bool,
    forced: Vec<ForcedHeader>,
    defines: Vec<Arg>,
}

fn plain() -> Line {
    Line { language: Language::Cxx, canonical: true, forced: Vec::new(), defines: Vec::new() }
}

/// Looks ahead for one source after the other; each time all must have been looked at by then that a resolver
/// looks at which has seen nothing yet. Gives how many files need not be gone through again at last.
fn look(fake: &mut Fake, resolver: &mut Resolver, sources: &[&str], line: Line) -> usize {
    let search = angles(&["i", "j"], &["/usr/include"]);
    for source in sources {
        let question = Question {
            source: source.as_bytes(),
            language: line.language,
            canonical: line.canonical,
            forced: &line.forced,
            defines: &line.defines,
            ..question(&search, Read::Nothing)
        };
        look_ahead(fake, resolver, &question);
        let before = fake.looked.clone();
        let _ = resolve(fake, &mut Resolver::new(), &question.ahead());
        let missed: BTreeSet<_> = fake.looked.difference(&before).collect();
        let missed: Vec<_> = missed.iter().map(|name| String::from_utf8_lossy(name)).collect();
        assert!(missed.is_empty(), "not looked at for {source}: {missed:?}");
    }
    resolver.walked.spots.len()
}

const HEADERS: [(&str, &str); 4] = [
    ("j/a.h", "#include <b.h>\n#if __has_include(<never.h>)\n#endif\n"),
    ("j/b.h", "#include \"c.h\"\n#include_next <b.h>\n#include <gone.h>\n"),
    ("j/c.h", ""),
    ("/usr/include/own.h", "#include <b.h>\n"),
];

fn with(sources: &[(&'static str, &'static str)]) -> Fake {
    Fake::new(&[&HEADERS[..], sources].concat())
}

#[test]
fn what_was_looked_at_is_not_gone_through_again() {
    let mut fake = with(&[
        ("m.c", "#include <a.h>\n#include <own.h>\n"),
        ("n.c", "#include \"a.h\"\n#include <d.h>\n"),
        ("i/d.h", "#include <b.h>\n#include <e.h>\n"),
    ]);
    let mut resolver = Resolver::new();
    assert_eq!(look(&mut fake, &mut resolver, &["m.c"], plain()), 5, "m.c, a.h, b.h, c.h, own.h");
    assert_eq!(look(&mut fake, &mut resolver, &["n.c"], plain()), 7);
    // A change makes everything doubtful.
    fake.add("i/b.h", "#include <f.h>");
    fake.looked.clear();
    assert_eq!(look(&mut fake, &mut resolver, &["n.c"], plain()), 4, "n.c, a.h, d.h, i/b.h");
}

#[test]
fn what_depends_on_other_texts_is_asked_anew() {
    let sources = [("m.c", "#include <x.h>\n"), ("n.c", "#define WHAT <b.h>\n#include <x.h>\n")];
    for header in [
        "#include WHAT\n",
        "#if __has_include(WHAT)\n#endif\n",
        "#define HAS(x) __has_include(x)\n#if HAS(WHAT)\n#endif\n",
        "#line 7 \"grammar.y\"\n",
        "asm(\".incbin \\\"data\\\"\");\n",
    ] {
        let mut fake = with(&sources);
        fake.add("i/x.h", header);
        let mut resolver = Resolver::new();
        let walked = look(&mut fake, &mut resolver, &["m.c", "n.c", "m.c"], plain());
        assert_eq!(walked == 0, header.starts_with("asm"), "{header}");
    }
    // The header was seen to be harmless before somebody comes who makes something of it.
    let mut fake = with(&[
        ("m.c", "#include <x.h>\n"),
        ("n.c", "#define HAS(x) __has_include(x)\n#include <x.h>\n"),
        ("o.c", "#include <x.h>\n#include NAME\n"),
        ("i/x.h", "#define NAME <new.h>\n#if HAS(NAME)\n#endif\n"),
        ("j/new.h", "#include <newer.h>\n"),
    ]);
    look(&mut fake, &mut Resolver::new(), &["m.c", "n.c", "o.c", "m.c"], plain());
}

#[test]
fn macros_of_files_that_were_walked_apart() {
    let files = [
        ("use.h", "#include ONE\n"),
        ("one.h", "#define ONE TWO\n"),
        ("two.h", "#define TWO <three.h>\n"),
        ("i/three.h", "#include \"four.h\"\n"),
        ("use.c", "#include \"use.h\"\n"),
        ("one.c", "#include \"one.h\"\n"),
        ("two.c", "#include \"two.h\"\n"),
        ("all.c", "#include \"one.h\"\n#include \"two.h\"\n#include \"use.h\"\n"),
    ];
    for before in
        [["use.c", "one.c", "two.c"], ["two.c", "use.c", "one.c"], ["one.c", "two.c", "use.c"]]
    {
        for count in 0..=before.len() {
            let (mut fake, mut resolver) = (Fake::new(&files), Resolver::new());
            look(&mut fake, &mut resolver, &before[..count], plain());
            look(&mut fake, &mut resolver, &["all.c"], plain());
            assert!(fake.looked.contains(&b"i/four.h"[..]));
            // Another text under the same name.
            fake.add("two.h", "#define TWO <five.h>\n");
            fake.add("j/five.h", "#include <six.h>\n");
            fake.looked.clear();
            look(&mut fake, &mut resolver, &["all.c"], plain());
            assert!(
                fake.looked.contains(&b"i/six.h"[..]) && !fake.looked.contains(&b"i/four.h"[..])
            );
        }
    }
}

#[test]
fn the_command_line_counts() {
    let mut fake = with(&[("m.c", "#include <a.h>\n"), ("i/f.h", "#include <forced.h>\n")]);
    fake.own_paths.insert(b"j/a.h".into(), b"other/a.h".into());
    fake.add("other/a.h", "#include \"beside.h\"\n");
    let mut resolver = Resolver::new();
    assert_eq!(look(&mut fake, &mut resolver, &["m.c"], Line { canonical: false, ..plain() }), 4);
    look(&mut fake, &mut resolver, &["m.c"], plain());
    // Assembly is read in another way, which is remembered for nobody.
    let before = resolver.walked.spots.len();
    fake.add("s.S", "#include <a.h>\n# include <b.h>\n");
    let assembly = Line { language: Language::AssemblerWithCpp, ..plain() };
    assert_eq!(look(&mut fake, &mut resolver, &["s.S"], assembly), 0, "{before} before the change");
    look(&mut fake, &mut resolver, &["s.S", "m.c"], plain());
    let forced = vec![forced_header("f.h", true)];
    let defines = args(&["X=__has_include(<y.h>)"]);
    look(&mut fake, &mut resolver, &["m.c"], Line { forced, defines, ..plain() });
}
