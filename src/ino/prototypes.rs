//! Which prototypes a sketch needs, and where they can stand: before the first function or
//! variable, but behind every type, macro and include that the signature may need.

use std::ops::Range;

use super::ast::{Node, Place, Tree};
use super::sketch::Insertion;

/// The prototypes, in the order of their functions.
pub(super) fn insertions(text: &str, tree: &Tree) -> Vec<Insertion> {
    let mut insertions = Vec::new();
    for (n, node) in tree.declarations.iter().enumerate() {
        for signature in signatures(text, node) {
            let before = &tree.declarations[..n];
            let behind = needed_end(text, before, &signature);
            if let Some(at) = first_user(text, before, behind) {
                let Signature { text: prototype, begin: defined, defaults } = signature;
                insertions.push(Insertion { at, prototype, defined, defaults });
            }
        }
    }
    insertions
}

/// A function's definition up to its body.
struct Signature {
    /// On one line, without comments.
    text: String,
    begin: usize,
    /// Its default arguments, each from the `=` on.
    defaults: Vec<Range<usize>>,
}

/// Of the functions that a top declaration defines.
fn signatures(text: &str, node: &Node) -> Vec<Signature> {
    match node.kind.as_str() {
        "FunctionDecl" => signature(text, node, node, "").into_iter().collect(),
        "FunctionTemplateDecl" => {
            let function = node.inner.iter().find(|inner| inner.kind == "FunctionDecl");
            function.and_then(|function| signature(text, node, function, "")).into_iter().collect()
        }
        "LinkageSpecDecl" => {
            let before = format!("extern \"{}\" ", node.language);
            let functions = node.inner.iter().filter(|inner| inner.kind == "FunctionDecl");
            functions.filter_map(|function| signature(text, function, function, &before)).collect()
        }
        _ => Vec::new(),
    }
}

/// From the beginning of `whole` to the function's body, behind `linkage`. None for what needs
/// no prototype or can have none.
fn signature(text: &str, whole: &Node, function: &Node, linkage: &str) -> Option<Signature> {
    let is_body = |inner: &&Node| matches!(inner.kind.as_str(), "CompoundStmt" | "CXXTryStmt");
    let body = function.inner.iter().find(is_body)?.begin?;
    let begin = whole.begin?.at;
    let name = function.named_at?;
    if function.is_again || whole.is_again || body.is_macro || !(begin < name && name < body.at) {
        return None;
    }
    let mut defaults = Vec::new();
    for parameter in function.inner.iter().filter(|inner| inner.kind == "ParmVarDecl") {
        if parameter.has_init {
            defaults.push(default_argument(text, parameter, body.at)?);
        }
    }
    let line = one_line(text.get(begin..body.at)?);
    let mut bare = text.get(begin..body.at)?.to_owned();
    for default in defaults.iter().rev() {
        bare.replace_range(default.start - begin..default.end - begin, "");
    }
    let before_name = one_line(text.get(begin..name)?);
    let deduced = before_name.split(' ').any(|word| word == "auto" || word == "decltype(auto)")
        && !line.contains("->");
    let impossible = deduced
        || one_line(&bare).contains(['{', '#'])
        || before_name.ends_with("::")
        || line.starts_with("template<>")
        || line.starts_with("template <>");
    (!impossible).then(|| Signature { text: format!("{linkage}{line};"), begin, defaults })
}

/// From the `=` of a parameter's default to the comma or parenthesis behind it.
fn default_argument(text: &str, parameter: &Node, limit: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let from = parameter.named_at.or(parameter.begin.map(|begin| begin.at))?;
    let is_assignment = |at: usize| {
        let around = [bytes.get(at.wrapping_sub(1)), bytes.get(at + 1)];
        bytes[at] == b'='
            && !around.iter().any(|byte| matches!(byte, Some(b'=' | b'<' | b'>' | b'!')))
    };
    let start = (from..limit).find(|at| is_assignment(*at))?;
    let mut at = parameter.end.map_or(start, |Place { at, .. }| at.max(start + 1));
    let mut depth = 0;
    while at < limit {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b',' if depth == 0 => return Some(start..at),
            b')' if depth == 0 => return Some(start..at),
            b')' | b']' | b'}' => depth -= 1,
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < limit && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Without comments, and with single spaces for white space.
fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest[2..].find("*/").map_or("", |end| &rest[end + 4..]);
            out.push(' ');
        } else if matches!(next, '"' | '\'') {
            let end = string_end(rest, next);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else {
            out.push(if next.is_whitespace() { ' ' } else { next });
            rest = &rest[next.len_utf8()..];
        }
    }
    out.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

fn string_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The end of everything before a function that its signature may need.
fn needed_end(text: &str, before: &[Node], signature: &Signature) -> usize {
    let all = words(&signature.text);
    // Elsewhere, a variable's name is a parameter's.
    let mut values = words(bracketed(&signature.text));
    for default in &signature.defaults {
        values.extend(words(&text[default.clone()]));
    }
    let mut end = 0;
    for node in before {
        let wanted = match node.kind.as_str() {
            "FunctionDecl" | "FunctionTemplateDecl" | "LinkageSpecDecl" => false,
            "VarDecl" => values.contains(&node.name.as_str()),
            _ => all.contains(&node.name.as_str()),
        };
        if wanted && let Some(place) = node.end {
            end = end.max(place.at);
        }
    }
    for (line, directive) in directives(text).take_while(|(line, _)| line.end <= signature.begin) {
        let mut parts = words(directive).into_iter();
        let wanted = match parts.next() {
            Some("include") => true,
            Some("define") => parts.next().is_some_and(|name| all.contains(&name)),
            _ => false,
        };
        if wanted {
            end = end.max(line.end);
        }
    }
    end
}

fn words(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect()
}

/// From the first bracket that may hold a size to the last.
fn bracketed(signature: &str) -> &str {
    let from = signature.find(['[', '<']);
    let to = signature.rfind([']', '>']);
    from.zip(to).and_then(|(from, to)| signature.get(from..to)).unwrap_or_default()
}

/// Where the first function or variable behind a place begins: in front of all conditional
/// directives around it, where that is still behind. None when there is none: the function is
/// itself the first to be there.
fn first_user(text: &str, before: &[Node], behind: usize) -> Option<usize> {
    let is_user = |node: &&Node| {
        let kinds = ["FunctionDecl", "FunctionTemplateDecl", "LinkageSpecDecl", "VarDecl"];
        kinds.contains(&node.kind.as_str())
    };
    let users = before.iter().filter(is_user).filter_map(|node| node.begin);
    let at = users.map(|place| place.at).filter(|at| *at >= behind).min()?;
    let mut open = Vec::new();
    for (line, directive) in directives(text).take_while(|(line, _)| line.start < at) {
        if directive.starts_with("if") {
            open.push(line.start);
        } else if directive.starts_with("endif") {
            open.pop();
        }
    }
    Some(open.first().copied().filter(|start| *start >= behind).unwrap_or(at))
}

/// Preprocessor lines: where they are, and what stands behind the `#`.
fn directives(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let range = at..at + line.len();
        at = range.end;
        Some((range, line.trim_start().strip_prefix('#')?.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_spaces() {
        assert_eq!(one_line("int  a // no\n ( /* x */ char\tb ) "), "int a ( char b )");
        assert_eq!(one_line(r#"a "x // y" '"' /* "#), r#"a "x // y" '"'"#);
    }

    #[test]
    fn directives_are_lines() {
        let found: Vec<_> =
            directives("a\n # if X\nb # no\n#endif\n").map(|(_, text)| text).collect();
        assert_eq!(found, ["if X", "endif"]);
    }
}
