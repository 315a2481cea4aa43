use super::*;

fn literal(text: &str) -> Vec<String> {
    scan(text.as_bytes()).includes.iter().map(show).collect()
}

fn show(include: &Include) -> String {
    let name = String::from_utf8_lossy(&include.name);
    match include.how {
        How::Quote => format!("{:?} \"{name}\"", include.kind),
        How::Angle => format!("{:?} <{name}>", include.kind),
    }
}

#[test]
fn includes() {
    assert_eq!(literal("#include <a.h>\n"), ["Include <a.h>"]);
    assert_eq!(literal("\u{feff}#include \"a b.h\" // x"), ["Include \"a b.h\""]);
    assert_eq!(
        literal("  # \t include_next/**/<a//b.h>\n#import \"o.h\""),
        ["Next <a//b.h>", "Import \"o.h\""]
    );
    assert_eq!(
        literal("#/* x */include <a>\n/* c */ #include <b>\n"),
        ["Include <a>", "Include <b>"]
    );
    assert_eq!(literal("/* \n */#include <b>"), ["Include <b>"]);
    assert_eq!(literal("#if 0\n#include <f>\n#endif"), ["Include <f>"]);
    assert_eq!(
        literal("%:include <d>\n??=include <t>\n"),
        ["Include <d>", "Include <d>", "Include <t>"]
    );
    assert_eq!(literal("#inc\\\nlude \\ \t\n<x.h>\n"), ["Include <x.h>"]);
    assert_eq!(literal("#inc??/\nlude <x.h>\n"), ["Include <x.h>"]);
    assert_eq!(
        literal("#include <x.h>\r\n#embed \"d\" limit(3)\r\n"),
        ["Include <x.h>", "Embed \"d\""]
    );
    assert_eq!(literal("#define S(x) #x\nint a; #include <n>\n#include \"u\n"), [""; 0]);
}

#[test]
fn not_fooled() {
    assert_eq!(literal("// x \\\n#include <a>\n/*\n#include <b>\n*/"), [""; 0]);
    assert_eq!(literal("char *s = \"/*\";\n#include <a>\nchar *t = \"*/\";"), ["Include <a>"]);
    assert_eq!(literal("char *s = \"\\\"/*\";\n#include <a>\n"), ["Include <a>"]);
    assert_eq!(literal("int c = '\"';\n#include <a>\nint d = '\"';"), ["Include <a>"]);
    assert_eq!(literal("int c = '/*';\n#include <a>\n"), ["Include <a>"]);
    assert_eq!(literal("int n = 1'000'000, m = 0xff'ffa'b; /*\n#include <a>\n*/"), [""; 0]);
    assert_eq!(literal("int n = 1'0; char c = '\"'; \n#include <a>\n"), ["Include <a>"]);
    assert_eq!(literal("#error don't /* do\n#include <a>\n"), ["Include <a>"]);
    assert_eq!(literal("/*/\n#include <a>\n*/\n#include <b>"), ["Include <b>"]);
    assert_eq!(literal("auto s = R\"(\n#include <a>\n)\";\n#include <b>"), ["Include <b>"]);
    assert_eq!(
        literal("auto s = u8R\"x(\n)\"\n#include <a>\n)x\";\n#include <b>"),
        ["Include <b>"]
    );
    assert_eq!(
        literal("auto s = R\"xy(\n)x\\\ny\"\n#include <a>\n)xy\";\n#include <b>"),
        ["Include <b>"]
    );
    assert_eq!(literal("auto s = R\"(\\)\";\n#include <b>"), ["Include <b>"]);
    assert_eq!(literal("int FOOR; auto s = FOOR\"(\";\n#include <b>"), ["Include <b>"]);
    assert_eq!(literal("s = \"??/\"; /*\";\n#include <a>\n*/"), ["Include <a>"]);
    assert_eq!(literal("x = \"unterminated\n#include <b>"), ["Include <b>"]);
}

#[test]
fn has_include() {
    assert_eq!(
        literal("#if __has_include(<x>) && !__has_include_next ( \"y\" )\n"),
        ["HasInclude <x>", "HasIncludeNext \"y\""]
    );
    assert_eq!(literal("#if FMT_HAS_INCLUDE(<x>) // <y>\n"), ["HasInclude <x>"]);
    assert_eq!(literal("#elif 1 && \\\n  W(\"q\")\n"), ["HasInclude \"q\""]);
    assert_eq!(literal("#define HAVE __has_include(<x>)\n"), ["HasInclude <x>"]);
    assert_eq!(literal("#if __has_embed(<x> limit(1))\n"), ["HasEmbed <x>"]);
    assert_eq!(literal("#if defined(__has_include)\n#ifdef __has_include\n"), [""; 0]);
    let wrapped = scan(b"#define H(x) __has_include(x)\n#if H(NAME) && __GNUC_PREREQ(4, 3)\n");
    assert!(wrapped.has_names.is_empty() && !wrapped.has_opaque);
    assert_eq!(&*wrapped.has_wrappers[0], b"H");
    assert_eq!(wrapped.has_calls, [(b"H"[..].into(), b"NAME"[..].into())]);
    let named = scan(b"#if __has_include(NAME)\n#endif\n");
    assert_eq!(named.has_names, [(Kind::HasInclude, b"NAME"[..].into())]);
    assert!(scan(b"#if __has_include(F(x))\n").has_opaque);
}

#[test]
fn computed() {
    let plain = scan(b"#include NAME /* x */ // y\n#include_next B");
    assert!(plain.computed && !plain.computed_opaque);
    assert_eq!(
        plain.computed_names,
        [(Kind::Include, b"NAME"[..].into()), (Kind::Next, b"B"[..].into())]
    );
    for text in ["#include F(x)\n", "#include A B\n", "#include A(\\\n)"] {
        assert!(scan(text.as_bytes()).computed_opaque, "{text}");
    }
    let macros = scan(b"#define A <a.h>\n#define B \"b.h\"\n#define C A // x\n#define D F(x)\n#define E 1\n#define G(x) <x>\n");
    assert_eq!(
        macros.header_macros,
        [
            (b"A"[..].into(), MacroBody::Angle(b"a.h"[..].into())),
            (b"B"[..].into(), MacroBody::Quote(b"b.h"[..].into())),
            (b"C"[..].into(), MacroBody::Alias(b"A"[..].into())),
            (b"D"[..].into(), MacroBody::Opaque),
        ]
    );
}

#[test]
fn times() {
    let flags = |text: &str| {
        let found = scan(text.as_bytes());
        (found.time, found.date, found.timestamp)
    };
    assert_eq!(flags("x = __TIME__;"), (true, false, false));
    assert_eq!(flags("#define D __DATE__ \"x\""), (false, true, false));
    assert_eq!(flags("__TIMESTAMP__"), (false, false, true));
    assert_eq!(flags("__TI\\\nME__"), (true, false, false));
    assert_eq!(
        flags("// __TIME__\n/* __DATE__ */ \"__TIME__\" x__TIME__ __TIME__x"),
        (false, false, false)
    );
    assert_eq!(flags("#define T __TI ## ME__"), (true, false, true));
    assert_eq!(flags("#define T __D##ATE__"), (false, true, false));
    assert_eq!(flags("P(__DA, TE__)"), (false, true, false));
    assert_eq!(flags("#define T(x) __T ## x\n"), (true, false, true));
    assert_eq!(flags("#define T(x) a ## x\nint __TIME_T; __DATEX"), (false, false, false));
    assert_eq!(flags("\"a\" __TIME__ \"b\""), (true, false, false));
}

/// Whether `__TIME__` and `__DATE__` may be put together from texts.
fn made(texts: &[&str], others_paste: bool) -> (bool, bool) {
    let mut pieces = Pieces::default();
    for text in texts {
        let found = scan(text.as_bytes());
        assert!(!found.time && !found.date, "{text}");
        pieces.add(&found.pieces);
    }
    let [time, date, _] = pieces.make(others_paste);
    (time, date)
}

#[test]
fn pasted_times() {
    let yes = (true, false);
    let no = (false, false);
    for texts in [
        &["#define P(a) __##a##__\nP(TIME)"][..],
        &["#define P(a) __ %:%: a ## \\\n __\n", "x TIME"],
        &["#define P(a) _##_##a##_##_\nP(TIME)"],
        &["#define P(a) __##a\n", "#define Q(a) a##__\nP(Q(TIME))"],
        &["#define U __", "#define C(a, b) a##b\n", "C(C(U, TIME), U)"],
        &["#define U __\r\n#define C(a,b)a##b\r\nTIME"],
        &["#define C(a,b,c)a##b##c", "C(__,TIME,__)"],
        &["#define C(a,b)a##b", "C(_, _TIME__)"],
        &["#define C(a,b)a##b", "C(C(_,_TIME_),_)"],
        &["#define P(a) ??=??= __\n__??=??=a\nTIME"],
    ] {
        assert_eq!(made(texts, false), yes, "{texts:?}");
    }
    for texts in [
        &["#define P(a) __##a\nTIME"][..],
        &["#define P(a) a##__\nTIME"],
        &[
            "#define P(a) __##a##__\nREALTIME TIMER UPTIME_ TIME_T ___TIME \"TIME\" 'TIME' /* TIME */ // TIME",
        ],
        &["#define P(a) a##b\nTIME __x x__ /* __ */ \"__\" // __"],
        &["#define U __\nU TIME _TIME"],
        // As git has it.
        &["#define TIME_MODE(t) f(TIME_##t)\n#define P(a) __##a\n"],
    ] {
        assert_eq!(made(texts, false), no, "{texts:?}");
    }
    assert_eq!(made(&["#define P(a) __##a##__\nDATE"], false), (false, true));
    // The compiler's own headers paste for others.
    assert_eq!(made(&["#define U __\nTIME"], true), yes);
    assert_eq!(made(&["_TIME"], true), no);
    assert!(scan(b"#define P(a) __##a##__\nTIMESTAMP").pieces.make(false)[2]);
}

#[test]
fn underscores_anywhere_in_a_text() {
    for front in (0..600).step_by(7) {
        for behind in [0, 1, 2, 300] {
            for (word, is_alone) in [("__", true), ("(__)", true), ("__x", false), ("x__", false)] {
                let text = format!("{}{word}{}", " ".repeat(front), " ".repeat(behind));
                let found = pieces::lone_underscores(text.as_bytes());
                let expected = text.find("__").filter(|_| is_alone);
                assert_eq!(found, Vec::from_iter(expected), "{front} {word} {behind}");
            }
        }
    }
}

#[test]
fn pragmas_and_modules() {
    assert!(scan(b"#pragma GCC dependency \"x\"\n").dependency_pragma);
    assert!(scan(b"_Pragma(\"GCC dependency \\\"x\\\"\")").dependency_pragma);
    assert!(scan(b"D(GCC dependency \"x\")").dependency_pragma);
    assert!(!scan(b"// GCC dependency\n\"dependency\"; int dependency;").dependency_pragma);
    for text in [
        "import <x>;",
        "a;\n import \"x\";",
        "import a.b;",
        "export module m;",
        "module;",
        "module m:p;",
        "export import x;",
        "/* */ module :private;",
        "import :part;",
        "module m [[a]];",
    ] {
        assert!(scan(text.as_bytes()).modules, "{text}");
    }
    for text in [
        "@import x;",
        "x.import();",
        "int module;",
        "// import x;",
        "module = 3;",
        "import(x)",
        "#import <x>",
        "module_x y;",
        "module::f();",
        "export int x;",
    ] {
        assert!(!scan(text.as_bytes()).modules, "{text}");
    }
}

fn files(found: &Scan) -> Vec<(String, bool)> {
    found
        .assembler_files
        .iter()
        .map(|f| (String::from_utf8_lossy(&f.name).into(), f.text))
        .collect()
}

#[test]
fn inline_assembler() {
    let found = scan(br#"__asm__ (".incbin \"data.bin\"\n\t.include \"x.s\"");"#);
    assert!(found.uses_asm && !found.assembler_opaque);
    assert_eq!(files(&found), [("data.bin".into(), false), ("x.s".into(), true)]);
    for text in [
        r#"".incbin \"" F "\"""#,
        r#"".inc""#,
        r#""a\n.i""#,
        r#""nop; .inc""#,
        r#""bin \"x\"" "incbin""#,
        r#""bin""#,
        r#"".include %0""#,
        r#""\x2eincbin %0""#,
        r#"R"(.incbin %0)""#,
        "S(.incbin \"x\")",
        "S(incbin)",
        "S(.include \"x\")",
        r#"".INCBIN %0""#,
    ] {
        assert!(scan(text.as_bytes()).assembler_opaque, "{text}");
    }
    for text in [
        r#""x.""#,
        r#""x.in""#,
        r#""dir/y-inl.inc""#,
        r#"".""#,
        r#""in""#,
        "o.include = 1",
        r#"".included""#,
        r#""nop; .byte 1""#,
        "// .incbin \"x\"\n",
    ] {
        let found = scan(text.as_bytes());
        assert!(!found.assembler_opaque && !found.uses_asm, "{text}");
    }
    assert!(!scan(b"int asmx, xasm; // asm\n").uses_asm);
    assert!(scan(br#"asm(".incbin 'x'")"#).assembler_opaque);
}

#[test]
fn assembly() {
    let found = scan_assembly(b"# don't /*\n#include <a.h>\n\t.incbin \"d.bin\", 3\n.include \"m.inc\"\n# include \"b.h\"\n");
    assert_eq!(found.includes.len(), 2);
    assert_eq!(files(&found), [("d.bin".into(), false), ("m.inc".into(), true)]);
    assert!(found.uses_asm && !found.assembler_opaque);
    for text in [
        ".incbin \"\\name\"",
        ".incbin \\x",
        ".incbin NAME",
        "x .incbin, \"a\"",
        ".inc\\x \"a\"",
        ".IncBin x",
        ".macro inc a f\n.\\a \"\\f\"\n.endm\n",
        ".macro inc a b f\n\\a\\b \"\\f\"\n.endm\ninc .inc bin d.bin\n",
        ".macro inc a b f\n\\a\\()\\b \"\\f\"\n.endm\ninc . incb d.bin\n",
        "#define WORD incbin\n.WORD \"d.bin\"\n",
        "#define GLUE(a, b) .a ## b\n",
        ".altmacro\n",
    ] {
        assert!(scan_assembly(text.as_bytes()).assembler_opaque, "{text}");
    }
    for text in [
        ".macro op a b\n \\a\\()l \\b, %eax\n.endm\nop add %ebx\n.size f, .-f\n",
        ".macro l n\n.L\\n: nop\n.endm\n",
    ] {
        assert!(!scan_assembly(text.as_bytes()).assembler_opaque, "{text}");
    }
    assert!(!scan_assembly(b".macro f x\n add \\x, 1\n.endm\n").assembler_opaque);
}

#[test]
fn files_of_lines() {
    let names = |found: &Scan| {
        let names = found.line_files.iter().map(|name| String::from_utf8_lossy(name).into_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    let found = scan(
        b"# 1 \"a.c\"\n# 1 \"<built-in>\"\n# 1 \"/w//\"\n#line 2 \"g.y\"\n # line 3 /* */ \"h.y\"\n#line 4\n\
          #line 5 \"g.y\"\n",
    );
    assert_eq!((names(&found).as_str(), found.line_opaque), ("a.c g.y h.y", false));
    for text in ["#line 2 F\n", "#line L\n", "#line 2 \"a\\\\b\"\n"] {
        assert!(scan(text.as_bytes()).line_opaque, "{text}");
    }
    let found =
        scan_assembly(b" .file \"a.c\"\n.file 1 \"d\" \"b.c\" md5 0x1\n# line up\nadd r0, #1\n");
    assert_eq!((names(&found).as_str(), found.line_opaque), ("a.c b.c d d/b.c", false));
}

#[test]
fn assembler_in_literals_made_of_parts() {
    let made = r#"asm(".macro inc a f\n.\\a \"\\f\"\n.endm\ninc bincs d.bin");"#;
    assert!(scan(made.as_bytes()).assembler_opaque);
    for text in [r#"match("\\.\\d+");"#, r#"x(".macro"); y("^\\.\\w");"#, r#"f(" .\\x");"#] {
        assert!(!scan(text.as_bytes()).assembler_opaque, "{text}");
    }
}

#[test]
fn any_bytes() {
    let words: [&[u8]; 26] = [
        b"#",
        b"include",
        b"<",
        b">",
        b"\"",
        b"'",
        b"\\",
        b"\n",
        b"/*",
        b"*/",
        b"//",
        b"R\"(",
        b")\"",
        b"??/",
        b"??=",
        b"%:",
        b"__has_include",
        b"(",
        b")",
        b"define ",
        b"if ",
        b".incbin ",
        b"##",
        b"__TI",
        b"\xff",
        b" ",
    ];
    let mut state = 1u64;
    for _ in 0..20_000 {
        let mut text = Vec::new();
        for _ in 0..24 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let pick = (state >> 33) as usize;
            if pick.is_multiple_of(5) {
                text.push((state >> 50) as u8);
            } else {
                text.extend_from_slice(words[pick % words.len()]);
            }
        }
        scan(&text);
        scan_assembly(&text);
    }
}
