//! Preprocessor directives: includes, macro definitions, conditions, pragmas.

use memchr::memchr;

use super::lexer::Lexer;
use super::text::{comment_end, word_at};
use super::{How, Include, Kind, MacroBody, is_blank, is_identifier};

/// What `defined` and the compilers' own queries look like in `#if`: no header is meant.
const QUERIES: &[&[u8]] = &[
    b"defined",
    b"__has_attribute",
    b"__has_cpp_attribute",
    b"__has_c_attribute",
    b"__has_declspec_attribute",
    b"__has_builtin",
    b"__has_constexpr_builtin",
    b"__has_feature",
    b"__has_extension",
    b"__has_warning",
    b"__is_identifier",
    b"__building_module",
];

impl Lexer<'_> {
    /// Reads the directive behind a `#`; returns where the walk goes on.
    pub(super) fn directive(&mut self, at: usize) -> usize {
        let text = self.text;
        let start = skip_space(text, at);
        let word = word_at(text, start);
        let end = start + word.len();
        match word {
            b"include" | b"__include_macros" => self.include(end, Kind::Include),
            b"include_next" => self.include(end, Kind::Next),
            b"import" => {
                self.out.reads_once = true;
                self.include(end, Kind::Import)
            }
            b"embed" => self.include(end, Kind::Embed),
            b"define" => {
                self.define(end);
                end
            }
            b"if" | b"elif" => {
                self.condition(end);
                end
            }
            b"pragma" => {
                self.pragma(end);
                end
            }
            b"line" => {
                self.line(end);
                end
            }
            [b'0'..=b'9', ..] => {
                self.line(start);
                end
            }
            // Stay where we were: in assembly and in macro bodies anything may follow.
            _ => at,
        }
    }

    /// `#line NUMBER "file"`, from its number on, or the linemarker that a preprocessor makes of it.
    fn line(&mut self, at: usize) {
        let text = self.text;
        let number = skip_space(text, at);
        let digits = word_at(text, number);
        if !digits.first().is_some_and(u8::is_ascii_digit) {
            // A macro's. In assembly it is a comment.
            self.out.line_opaque |= !digits.is_empty() && !self.assembly;
            return;
        }
        let start = skip_space(text, number + digits.len());
        match text.get(start) {
            Some(b'"') => match header_name(text, start) {
                Some((_, name, _)) if !name.contains(&b'\\') => self.line_file(name),
                Some(_) => self.out.line_opaque = true,
                None => {}
            },
            Some(&byte) if is_identifier(byte) && !self.assembly => self.out.line_opaque = true,
            _ => {}
        }
    }

    fn line_file(&mut self, name: &[u8]) {
        // `<built-in>` and its like, and the working folder (`//` behind it), are no files.
        let is_file = name[0] != b'<' && !name.ends_with(b"/");
        if is_file && self.out.line_files.last().is_none_or(|last| **last != *name) {
            self.out.line_files.push(name.into());
        }
    }

    fn include(&mut self, at: usize, kind: Kind) -> usize {
        let text = self.text;
        let start = skip_space(text, at);
        if let Some((how, name, end)) = header_name(text, start) {
            self.out.includes.push(Include { how, kind, name: name.into() });
            self.header_name(start, end);
            return end;
        }
        let word = word_at(text, start);
        if word.first().is_some_and(|b| !b.is_ascii_digit()) {
            self.out.computed = true;
            let after = skip_space(text, start + word.len());
            let alone = matches!(text.get(after), None | Some(b'\n'))
                || text[after..].starts_with(b"//")
                || kind == Kind::Embed && text[after] != b'(';
            if alone {
                self.out.computed_names.push((kind, word.into()));
            } else {
                self.out.computed_opaque = true;
            }
        }
        start
    }

    /// The argument of a `__has_include`, from behind the word on.
    pub(super) fn has_argument(&mut self, at: usize, kind: Kind) {
        let text = self.text;
        let mut start = skip_space(text, at);
        let open = text.get(start) == Some(&b'(');
        if open {
            start = skip_space(text, start + 1);
        }
        if let Some((how, name, _)) = header_name(text, start) {
            self.out.includes.push(Include { how, kind, name: name.into() });
            return;
        }
        let word = word_at(text, start);
        if !open || word.first().is_none_or(|b| b.is_ascii_digit()) {
            // `defined(__has_include)`, `#ifdef __has_include`
            return;
        }
        // A parameter of the macro that is being defined is not computed here: its callers are.
        let line = text[..at].iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
        if let Some((name, parameters)) = function_like(text, line)
            && parameters.contains(&word)
        {
            self.out.has_wrappers.push(name.into());
            return;
        }
        let after = skip_space(text, start + word.len());
        if matches!(text.get(after), Some(b')')) || kind == Kind::HasEmbed {
            self.out.has_names.push((kind, word.into()));
        } else {
            self.out.has_opaque = true;
        }
    }

    fn define(&mut self, at: usize) {
        let text = self.text;
        let start = skip_space(text, at);
        let name = word_at(text, start);
        let after = start + name.len();
        if name.is_empty() || text.get(after) == Some(&b'(') {
            return;
        }
        let body = skip_space(text, after);
        let value = match text.get(body) {
            Some(b'<' | b'"') => match header_name(text, body) {
                Some((How::Quote, name, _)) => MacroBody::Quote(name.into()),
                Some((How::Angle, name, _)) => MacroBody::Angle(name.into()),
                None => MacroBody::Opaque,
            },
            Some(&first) if is_identifier(first) && !first.is_ascii_digit() => {
                let word = word_at(text, body);
                let end = skip_space(text, body + word.len());
                match text.get(end) {
                    None | Some(b'\n') => MacroBody::Alias(word.into()),
                    Some(b'/') if text.get(end + 1) == Some(&b'/') => MacroBody::Alias(word.into()),
                    _ => MacroBody::Opaque,
                }
            }
            // A comment or a splice: what follows may be anything.
            Some(b'/' | b'\\') => MacroBody::Opaque,
            _ => return,
        };
        self.out.header_macros.push((name.into(), value));
    }

    /// `F(<x>)`, `F("x")` and `F(NAME)` in an `#if` line: `F` may be a wrapper of `__has_include`.
    fn condition(&mut self, at: usize) {
        let text = self.text;
        let mut at = at;
        while let Some(&byte) = text.get(at) {
            if byte == b'\n' || byte == b'/' && text.get(at + 1) == Some(&b'/') {
                break;
            }
            if byte == b'/' && text.get(at + 1) == Some(&b'*') {
                at = comment_end(text, at);
                continue;
            }
            if !is_identifier(byte) {
                at += 1;
                continue;
            }
            let word = word_at(text, at);
            at += word.len();
            let open = skip_space(text, at);
            if text.get(open) != Some(&b'(')
                || QUERIES.contains(&word)
                || word.starts_with(b"__has_include")
                || word.starts_with(b"__has_embed")
            {
                continue;
            }
            let start = skip_space(text, open + 1);
            if let Some((how, name, _)) = header_name(text, start) {
                let kind = Kind::HasInclude;
                self.out.includes.push(Include { how, kind, name: name.into() });
                continue;
            }
            let argument = word_at(text, start);
            let end = skip_space(text, start + argument.len());
            if argument.first().is_some_and(|b| !b.is_ascii_digit()) && text.get(end) == Some(&b')')
            {
                self.out.has_calls.push((word.into(), argument.into()));
            }
        }
    }

    fn pragma(&mut self, at: usize) {
        let text = self.text;
        let start = skip_space(text, at);
        let space = word_at(text, start);
        let next = word_at(text, skip_space(text, start + space.len()));
        match (space, next) {
            (b"GCC", b"dependency") => self.out.dependency_pragma = true,
            (b"clang", b"module") => self.out.modules = true,
            (b"once", _) => self.out.once = true,
            _ => {}
        }
    }
}

/// Past blanks and block comments; not past the end of the line.
fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        if is_blank(byte) {
            at += 1;
        } else if byte == b'/' && text.get(at + 1) == Some(&b'*') {
            at = comment_end(text, at);
        } else {
            break;
        }
    }
    at
}

/// A literal header name at `at`, and where it ends.
fn header_name(text: &[u8], at: usize) -> Option<(How, &[u8], usize)> {
    let (how, close) = match text.get(at)? {
        b'"' => (How::Quote, b'"'),
        b'<' => (How::Angle, b'>'),
        _ => return None,
    };
    let line = memchr(b'\n', &text[at..]).map_or(text.len(), |n| at + n);
    let len = memchr(close, &text[at + 1..line])?;
    let name = &text[at + 1..at + 1 + len];
    (!name.is_empty() && !name.contains(&0)).then_some((how, name, at + len + 2))
}

/// The name and the parameters of the function-like macro whose definition is the line at `at`.
fn function_like(text: &[u8], at: usize) -> Option<(&[u8], Vec<&[u8]>)> {
    let hash = skip_space(text, at);
    let after = match (text.get(hash)?, text.get(hash + 1)) {
        (b'#', _) => hash + 1,
        (b'%', Some(b':')) => hash + 2,
        _ => return None,
    };
    let define = skip_space(text, after);
    if word_at(text, define) != b"define" {
        return None;
    }
    let start = skip_space(text, define + 6);
    let name = word_at(text, start);
    let open = start + name.len();
    if text.get(open) != Some(&b'(') {
        return None;
    }
    let mut at = open + 1;
    let mut parameters = Vec::new();
    loop {
        at = skip_space(text, at);
        match *text.get(at)? {
            b')' => return Some((name, parameters)),
            b'\n' => return None,
            b'.' => {
                parameters.push(&b"__VA_ARGS__"[..]);
                at += 1;
            }
            byte if is_identifier(byte) => {
                let word = word_at(text, at);
                parameters.push(word);
                at += word.len();
            }
            _ => at += 1,
        }
    }
}
