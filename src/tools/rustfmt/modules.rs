//! The modules that a Rust text declares and leaves to other files. No `cfg` is evaluated and no
//! macro expanded: whatever looks like a declaration counts.

/// A `mod NAME;` and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    /// The modules around it in the same file, outermost first: the names that each one's folder
    /// may have.
    pub(super) within: Vec<Vec<Vec<u8>>>,
    pub(super) name: Vec<u8>,
    /// From `path = "…"` in its attributes.
    pub(super) paths: Vec<Vec<u8>>,
}

/// Deeper than any modules nest in one file, and more than any file declares.
const DEEPEST: usize = 100;
const MOST: usize = 20_000;

/// Finds all declarations, in order. None where there are too many to follow.
pub(super) fn declared(text: &[u8]) -> Option<Vec<Declared>> {
    let mut tokens = Tokens { text, at: 0 };
    let mut found = Vec::new();
    // Of each open brace: the folder names of the module that it begins, if it does.
    let mut open: Vec<Option<Vec<Vec<u8>>>> = Vec::new();
    let mut paths: Vec<Vec<u8>> = Vec::new();
    // Behind `path` (1) and `path =` (2).
    let mut path_at = 0;
    let mut after_mod = false;
    let mut name: Option<Vec<u8>> = None;
    while let Some(token) = tokens.next() {
        path_at = match (&token, path_at) {
            (Token::Name(b"path"), _) => 1,
            (Token::Sign(b'='), 1) => 2,
            (Token::Text(value), 2) => {
                paths.push(value.clone());
                0
            }
            _ => 0,
        };
        match token {
            Token::Name(b"mod") => {
                (after_mod, name) = (true, None);
                continue;
            }
            Token::Name(word) if after_mod => name = Some(word.to_vec()),
            Token::Sign(b';') => {
                if let Some(name) = name.take() {
                    let within: Vec<_> = open.iter().flatten().cloned().collect();
                    if within.len() > DEEPEST || found.len() == MOST {
                        return None;
                    }
                    found.push(Declared { within, name, paths: std::mem::take(&mut paths) });
                }
                paths.clear();
            }
            Token::Sign(b'{') => {
                let names = name.take().map(|name| {
                    let mut names = std::mem::take(&mut paths);
                    names.push(name);
                    names
                });
                open.push(names);
                paths.clear();
            }
            Token::Sign(b'}') => {
                open.pop();
                paths.clear();
            }
            _ => name = None,
        }
        after_mod = false;
    }
    Some(found)
}

enum Token<'a> {
    Name(&'a [u8]),
    /// A string literal's content.
    Text(Vec<u8>),
    Sign(u8),
}

struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            let byte = *self.text.get(self.at)?;
            match byte {
                b'/' if self.peek(1) == b'/' => self.skip_line(),
                b'/' if self.peek(1) == b'*' => self.skip_comment(),
                b'"' => return Some(Token::Text(self.string())),
                b'\'' => self.quote(),
                _ if is_name(byte) => {
                    let start = self.at;
                    while is_name(self.peek(0)) {
                        self.at += 1;
                    }
                    let word = &self.text[start..self.at];
                    match (word, self.peek(0)) {
                        (b"r" | b"br" | b"cr", b'"' | b'#') => match self.raw(word) {
                            Some(token) => return Some(token),
                            None => continue,
                        },
                        (b"b", b'\'') => continue,
                        (b"b" | b"c", b'"') => continue,
                        _ => return Some(Token::Name(word)),
                    }
                }
                _ if byte.is_ascii_whitespace() => self.at += 1,
                _ => {
                    self.at += 1;
                    return Some(Token::Sign(byte));
                }
            }
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    /// Comments nest.
    fn skip_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => (depth, self.at) = (depth + 1, self.at + 2),
                (b'*', b'/') => (depth, self.at) = (depth - 1, self.at + 2),
                _ => self.at += 1,
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// At the opening quote.
    fn string(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        self.at += 1;
        while self.at < self.text.len() {
            match self.peek(0) {
                b'"' => {
                    self.at += 1;
                    break;
                }
                b'\\' => self.escape(&mut value),
                byte => {
                    value.push(byte);
                    self.at += 1;
                }
            }
        }
        value
    }

    /// At a backslash (the reference's chapter on tokens).
    fn escape(&mut self, value: &mut Vec<u8>) {
        let digits = |text: &[u8]| {
            let text: String =
                text.iter().filter(|byte| **byte != b'_').map(|byte| *byte as char).collect();
            u32::from_str_radix(&text, 16).ok().and_then(char::from_u32)
        };
        let mut push = |found: Option<char>| {
            value.extend(found.unwrap_or('\u{fffd}').encode_utf8(&mut [0; 4]).bytes());
        };
        let rest = &self.text[(self.at + 1).min(self.text.len())..];
        self.at += 2;
        match rest.first() {
            Some(b'n') => push(Some('\n')),
            Some(b'r') => push(Some('\r')),
            Some(b't') => push(Some('\t')),
            Some(b'0') => push(Some('\0')),
            Some(b'x') if rest.len() > 2 => {
                push(digits(&rest[1..3]));
                self.at += 2;
            }
            Some(b'u') if rest.get(1) == Some(&b'{') => {
                let end = rest.iter().position(|byte| *byte == b'}').unwrap_or(rest.len() - 1);
                push(digits(&rest[2..end]));
                self.at += end;
            }
            // The line goes on where the next one's text begins.
            Some(b'\n' | b'\r') => {
                self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count() - 1;
            }
            Some(other) => value.push(*other),
            None => {}
        }
    }

    /// Behind the `r`: a raw string, or a raw name (of which the name is returned).
    fn raw(&mut self, _prefix: &[u8]) -> Option<Token<'a>> {
        let mut signs = 0;
        while self.peek(signs) == b'#' {
            signs += 1;
        }
        if self.peek(signs) != b'"' {
            // `r#name`: the name follows.
            self.at += signs.min(1);
            return None;
        }
        let start = self.at + signs + 1;
        let mut end = start;
        loop {
            let Some(quote) = memchr::memchr(b'"', self.text.get(end..)?) else {
                self.at = self.text.len();
                return None;
            };
            end += quote;
            let behind = &self.text[end + 1..];
            if behind.len() >= signs && behind[..signs].iter().all(|byte| *byte == b'#') {
                self.at = end + 1 + signs;
                return Some(Token::Text(self.text[start..end].to_vec()));
            }
            end += 1;
        }
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        if self.peek(1) == b'\\' {
            // `'\''`, `'\u{1F600}'`
            self.at += 3;
            while !matches!(self.peek(0), b'\'' | b'\n' | 0) {
                self.at += 1;
            }
            self.at += 1;
            return;
        }
        // One character of up to four bytes, and a quote.
        let width = match self.peek(1) {
            0..0x80 => 1,
            0x80..0xe0 => 2,
            0xe0..0xf0 => 3,
            _ => 4,
        };
        self.at += if self.peek(1 + width) == b'\'' { width + 2 } else { 1 };
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<String> {
        let shown = |name: &Vec<u8>| String::from_utf8(name.clone()).unwrap();
        let one = |module: Declared| {
            let mut line: String = module
                .within
                .iter()
                .map(|names| names.iter().map(shown).collect::<Vec<_>>().join("|") + "/")
                .collect();
            line += &shown(&module.name);
            for path in &module.paths {
                line += &format!("={}", shown(path));
            }
            line
        };
        declared(text.as_bytes()).unwrap().into_iter().map(one).collect()
    }

    #[test]
    fn declarations_are_found() {
        assert_eq!(read("mod a; pub mod b;\npub(crate) mod c ;"), ["a", "b", "c"]);
        assert_eq!(read("mod a { mod b; mod c { mod d; } } mod e;"), ["a/b", "a/c/d", "e"]);
        assert_eq!(read("fn f() { mod x; } cfg_if! { if #[cfg(u)] { mod u; } }"), ["x", "u"]);
        assert_eq!(read("mod r#try;"), ["try"]);
        assert_eq!(read("mod\n/* here */ a // there\n;"), ["a"]);
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        let read = |text: &str| read(&format!("#[path = \"{text}\"] mod z;"));
        for text in ["q\\x2ers", "q\\u{2e}rs", "q\\u{0_02E}rs", "q.\\\n   rs", "q\\\r\n.rs"] {
            assert_eq!(read(text), ["z=q.rs"], "{text}");
        }
        assert_eq!(read("a\\\"b\\\\c\\t"), ["z=a\"b\\c\t"]);
        assert_eq!(read("\\u{"), Vec::<String>::new());
    }

    #[test]
    fn paths_are_found() {
        assert_eq!(read("#[path = \"x/y.rs\"] mod a; mod b;"), ["a=x/y.rs", "b"]);
        assert_eq!(
            read("#[cfg_attr(u, path = r\"u.rs\")] #[path=\"v.rs\"]\nmod a;"),
            ["a=u.rs=v.rs"]
        );
        assert_eq!(read("#[path = \"d\"] mod a { mod b; }"), ["d|a/b"]);
        assert_eq!(read("#[path = \"d\"] fn f() {} mod b;"), ["b"]);
    }

    #[test]
    fn what_looks_like_one_and_is_none() {
        for text in [
            "// mod a;",
            "/* mod a; /* mod b; */ mod c; */",
            "\"mod a;\"",
            "r##\"mod \"# a;\"##",
            "b\"\\\"mod a;\"",
            "let c = '\"'; // mod a;",
            "let c = '\\''; /* mod a; */",
            "models;",
            "mod $name;",
        ] {
            assert!(read(text).is_empty(), "{text}: {:?}", read(text));
        }
        assert_eq!(read("fn f<'a>(x: &'a str) {} mod b; let c = 'é'; mod d;"), ["b", "d"]);
        assert_eq!(read("let quote = b'\"'; mod a;"), ["a"]);
    }
}
