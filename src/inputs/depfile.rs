//! Dependency files in make's syntax, as gcc, clang, GNU as and rustc write them.
//!
//! The escapes differ a little from tool to tool (measured: gcc 12, clang 14, as 2.40,
//! rustc 1.95), and some names can't be written unambiguously at all: gcc leaves a backslash at
//! the end of a name alone, clang leaves a tab alone. What such a text is read as does not exist
//! on disk then, which the resolver reports; so reading stays simple here.

/// One `targets: prerequisites` rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub targets: Vec<Vec<u8>>,
    pub prerequisites: Vec<Vec<u8>>,
}

/// A whole dependency file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Depfile {
    /// All rules in order, phony ones (`-MP`) too.
    pub rules: Vec<Rule>,
    /// rustc's `# env-dep:` lines: a variable and the value it had, or `None` where it was not set.
    pub env: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// The rules of a dependency file; `None` where the text is not one.
pub fn rules(text: &[u8]) -> Option<Vec<Rule>> {
    parse(text).map(|file| file.rules)
}

/// Reads a dependency file; `None` where the text is not one.
pub fn parse(text: &[u8]) -> Option<Depfile> {
    // No path has a NUL.
    if text.contains(&0) {
        return None;
    }
    let mut file = Depfile::default();
    let mut rest = text;
    while let Some(&first) = rest.first() {
        match first {
            b'\n' => rest = &rest[1..],
            // Only at the start of a line: GNU as leaves a `#` inside a name as it is.
            b'#' => {
                let end = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
                if let Some(body) = rest[..end].strip_prefix(b"# env-dep:") {
                    file.env.push(env_dep(body));
                }
                rest = &rest[end..];
            }
            _ => {
                let mut line = Line { rest, targets: true };
                let mut rule = Rule::default();
                loop {
                    match line.next() {
                        Token::Word(word) if line.targets => rule.targets.push(word),
                        Token::Word(word) => rule.prerequisites.push(word),
                        Token::LastTarget(word) => {
                            if !word.is_empty() {
                                rule.targets.push(word);
                            }
                            line.targets = false;
                        }
                        Token::End => break,
                    }
                }
                // No colon, or nothing before it: not a rule.
                if line.targets {
                    if !rule.targets.is_empty() {
                        return None;
                    }
                } else if rule.targets.is_empty() {
                    return None;
                } else {
                    file.rules.push(rule);
                }
                rest = line.rest;
            }
        }
    }
    Some(file)
}

enum Token {
    Word(Vec<u8>),
    /// A word that a colon ended: prerequisites follow.
    LastTarget(Vec<u8>),
    End,
}

struct Line<'a> {
    rest: &'a [u8],
    targets: bool,
}

/// Room for a usual path.
const USUAL_BYTES: usize = 64;

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

impl Line<'_> {
    /// The next word of the logical line. The newline that ends the line is left in place.
    fn next(&mut self) -> Token {
        loop {
            match self.rest {
                [b' ' | b'\t', tail @ ..] => self.rest = tail,
                [b'\\', b'\n', tail @ ..] => self.rest = tail,
                [b'\\', b'\r', b'\n', tail @ ..] => self.rest = tail,
                [] | [b'\n', ..] => return Token::End,
                [b'\r', b'\n', tail @ ..] => {
                    self.rest = tail;
                    return Token::End;
                }
                _ => break,
            }
        }
        let mut word = Vec::with_capacity(USUAL_BYTES);
        loop {
            match self.rest {
                [] | [b' ' | b'\t' | b'\n', ..] | [b'\r', b'\n', ..] => break,
                [b'\\', ..] => {
                    if !self.backslashes(&mut word) {
                        break;
                    }
                }
                [b'$', b'$', tail @ ..] => {
                    word.push(b'$');
                    self.rest = tail;
                }
                // A colon inside a name is not escaped; one that ends the targets has a blank or
                // nothing behind it.
                [b':', tail @ ..]
                    if self.targets
                        && tail
                            .first()
                            .is_none_or(|&b| is_blank(b) || b == b'\n' || b == b'\r') =>
                {
                    self.rest = tail;
                    return Token::LastTarget(word);
                }
                [byte, tail @ ..] => {
                    word.push(*byte);
                    self.rest = tail;
                }
            }
        }
        Token::Word(word)
    }

    /// A run of backslashes: halved before a blank, where an odd one makes the blank part of the
    /// name; the last one dropped before `#`; as they are elsewhere. False where the word ends.
    fn backslashes(&mut self, word: &mut Vec<u8>) -> bool {
        let count = self.rest.iter().take_while(|&&b| b == b'\\').count();
        let tail = &self.rest[count..];
        match tail {
            [blank @ (b' ' | b'\t'), after @ ..] => {
                word.resize(word.len() + count / 2, b'\\');
                if count % 2 == 1 {
                    word.push(*blank);
                    self.rest = after;
                    return true;
                }
                self.rest = tail;
                false
            }
            [b'#', after @ ..] => {
                word.resize(word.len() + count - 1, b'\\');
                word.push(b'#');
                self.rest = after;
                true
            }
            // A continuation: the last backslash is not part of the name.
            [b'\n', ..] | [b'\r', b'\n', ..] => {
                word.resize(word.len() + count - 1, b'\\');
                self.rest = &self.rest[count - 1..];
                false
            }
            _ => {
                word.resize(word.len() + count, b'\\');
                self.rest = tail;
                true
            }
        }
    }
}

/// `NAME=VALUE`, or `NAME` of a variable that is not set.
fn env_dep(body: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    match body.iter().position(|&b| b == b'=') {
        Some(at) => (env_text(&body[..at]), Some(env_text(&body[at + 1..]))),
        None => (env_text(body), None),
    }
}

/// Takes back rustc's `\n`, `\r` and `\\`.
fn env_text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b'\\') => out.push(b'\\'),
            Some(&other) => out.extend_from_slice(&[b'\\', other]),
            None => out.push(b'\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &[u8]) -> Vec<Vec<u8>> {
        let mut all = rules(text).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0).prerequisites
    }

    /// The texts gcc 12 printed for `#include "NAME"`, with the names they stand for.
    #[test]
    fn gcc_names() {
        let cases: &[(&[u8], &[u8])] = &[
            (b"a\\ b.h", b"a b.h"),
            (b"a$$b.h", b"a$b.h"),
            (b"a\\#b.h", b"a#b.h"),
            (b"a\\b.h", b"a\\b.h"),
            (b"a\\\\\\ b.h", b"a\\ b.h"),
            (b"a\\\\\\\\\\ b.h", b"a\\\\ b.h"),
            (b"a\\\\#b.h", b"a\\#b.h"),
            (b"a:b.h", b"a:b.h"),
            (b"a\\\tb.h", b"a\tb.h"),
            (b"a\xffb.h", b"a\xffb.h"),
            (b"a%b.h", b"a%b.h"),
            (b"a\\$$b.h", b"a\\$b.h"),
            (b"a\\\\b.h", b"a\\\\b.h"),
            (b"a\\:b.h", b"a\\:b.h"),
            (b"\\ lead.h", b" lead.h"),
            (b"tail\\ .h\\ ", b"tail .h "),
        ];
        for (printed, name) in cases {
            let text =
                [b"t.o: t.c /usr/include/stdc-predef.h ".as_slice(), printed, b"\n"].concat();
            assert_eq!(one(&text)[2], *name, "{:?}", String::from_utf8_lossy(printed));
        }
    }

    #[test]
    fn clang_names() {
        // clang turns a backslash into a slash before it opens the file.
        assert_eq!(one(b"x.o: t.c a/\\#b.h\n")[1], b"a/#b.h");
        assert_eq!(one(b"/dev/null: t.c a$$b.h\n")[1], b"a$b.h");
        assert_eq!(one(b"n.o: n.c sub//x.h \\\n  /usr/x.h \\\n  /usr/y.h\n").len(), 4);
    }

    #[test]
    fn assembler_names() {
        // GNU as leaves `#` alone and doubles a backslash at the end.
        assert_eq!(one(b"inc.o: a#b.h inc.s\n"), [b"a#b.h".to_vec(), b"inc.s".to_vec()]);
        assert_eq!(one(b"inc.o: #b.h inc.s\n")[0], b"#b.h");
        assert_eq!(one(b"inc.o: end\\\\ inc.s\n"), [b"end\\".to_vec(), b"inc.s".to_vec()]);
        assert_eq!(one(b"inc.o: tail\\ .h\\  inc.s\n")[0], b"tail .h ");
    }

    #[test]
    fn targets() {
        let text = b"o\\ a.o: t.c\n/usr/include/stdc-predef.h:\ntail\\ .h\\ :\n";
        let all = rules(text).unwrap();
        assert_eq!(all[0].targets, [b"o a.o"]);
        assert_eq!(all[2].targets, [b"tail .h "]);
        assert!(all[2].prerequisites.is_empty());
        assert_eq!(rules(b"o:a.o: t.c\n").unwrap()[0].targets, [b"o:a.o"]);
        // `-MT` is printed raw.
        assert_eq!(rules(b"o a.o: t.c\n").unwrap()[0].targets.len(), 2);
        assert_eq!(rules(b"a.o : t.c").unwrap()[0].targets, [b"a.o"]);
    }

    #[test]
    fn several_sources() {
        let all = rules(b"two1.o: two1.c /usr/include/stdc-predef.h\ntwo2.o: two2.c\n").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1].targets, [b"two2.o"]);
    }

    #[test]
    fn rustc() {
        let text = b"o.d: r.rs a\\ b.h\n\nr.rs:\na\\ b.h:\n\n# env-dep:NOPE\\\\x\\n\n\
            # env-dep:ZZ A=l1\\nl2\\\\x r=#\n";
        let file = parse(text).unwrap();
        assert_eq!(file.rules.len(), 3);
        assert_eq!(file.rules[0].prerequisites[1], b"a b.h");
        assert_eq!(
            file.env,
            [(b"NOPE\\x\n".to_vec(), None), (b"ZZ A".to_vec(), Some(b"l1\nl2\\x r=#".to_vec()))]
        );
    }

    #[test]
    fn not_a_dependency_file() {
        for text in
            [&b"hello world\n"[..], b": x\n", b"x.o: a\nb.h c.h\n", b"a\0b: c", b"a: b\0c\n"]
        {
            assert!(rules(text).is_none() || text.contains(&0), "{text:?}");
        }
        assert!(rules(b"a: b\0c\n").is_none());
        assert_eq!(rules(b""), Some(vec![]));
        assert_eq!(rules(b"\n  \n"), Some(vec![]));
    }

    #[test]
    fn any_bytes() {
        let mut state = 7u64;
        for _ in 0..20_000 {
            let text: Vec<u8> = (0..24)
                .map(|_| {
                    state =
                        state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    b"a: \\\n$#\t\r\0e"[(state >> 40) as usize % 11]
                })
                .collect();
            let _ = parse(&text);
        }
    }
}
