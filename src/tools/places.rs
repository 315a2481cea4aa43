//! Folders whose names are no part of what a command means: stored sets and texts name them
//! by number, so that they fit the same command in other folders.

use std::borrow::Cow;

use memchr::memmem;

use super::environment::Environment;
use super::find::within;

/// Begins a path that lies in a place. No command with this byte in an argument is followed
/// where there are places.
const PLACE: u8 = 1;

/// Begins a mark of two bytes that stands in a text for one way of writing a root.
const ROOT: u8 = 2;

/// Stands in an input set's variables for the names of the places themselves.
pub const PLACES_VARIABLE: &[u8] = b"\x01places";

/// The places of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Places {
    /// Absolute. First those that the tool knows of, then the roots.
    folders: Vec<Vec<u8>>,
    /// The names of the checkout's root are from here on. Unlike other places they are taken out
    /// of texts and of the values of variables.
    roots_from: usize,
}

impl Places {
    pub fn new(own: Vec<Vec<u8>>, roots: &[Vec<u8>]) -> Places {
        let roots_from = own.len();
        Places { folders: own.into_iter().chain(roots.iter().cloned()).collect(), roots_from }
    }

    /// The names of the checkout's root; none where results are not shared between checkouts.
    pub fn roots(&self) -> &[Vec<u8>] {
        &self.folders[self.roots_from..]
    }

    /// The same places in a checkout whose root has these names: what lies in this checkout lies
    /// in that one then.
    pub fn in_checkout(&self, roots: &[Vec<u8>]) -> Places {
        let moved = |place: &Vec<u8>| {
            let inside = self.roots().iter().find_map(|root| {
                place.strip_prefix(&root[..]).filter(|rest| rest.starts_with(b"/"))
            });
            match (inside, roots.first()) {
                (Some(inside), Some(root)) => [root, inside].concat(),
                _ => place.clone(),
            }
        };
        Places::new(self.folders[..self.roots_from].iter().map(moved).collect(), roots)
    }

    /// How an input set names a path: by the innermost place that it lies in, or as it is.
    pub fn spell(&self, path: &[u8]) -> Vec<u8> {
        let places = self.folders.iter().enumerate();
        let inner = places.filter_map(|(number, place)| Some((number, within(path, place)?)));
        match inner.min_by_key(|(_, rest)| rest.len()) {
            Some((number, rest)) => [&[PLACE], number.to_string().as_bytes(), rest].concat(),
            None => path.to_vec(),
        }
    }

    /// `spell` for paths whose names matter, but for the checkout they lie in.
    pub fn spell_root(&self, path: &[u8]) -> Vec<u8> {
        let lies_in = |root: &Vec<u8>| {
            let rest = path.strip_prefix(&root[..]);
            rest.is_some_and(|rest| rest.is_empty() || b"/=".contains(&rest[0]))
        };
        let number = self.roots().iter().position(lies_in);
        number.map_or(path.to_vec(), |number| {
            let rest = &path[self.roots()[number].len()..];
            [&[PLACE], (self.roots_from + number).to_string().as_bytes(), rest].concat()
        })
    }

    /// The other way.
    pub fn unspell(&self, spelled: &[u8]) -> Vec<u8> {
        let found = || {
            let rest = spelled.strip_prefix(&[PLACE])?;
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let number: usize = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
            Some([&self.folders.get(number)?[..], &rest[end..]].concat())
        };
        found().unwrap_or_else(|| spelled.to_vec())
    }

    /// A variable of a caller, as input sets mean it.
    pub fn variable<'a>(&self, env: Environment<'a>, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        if name == PLACES_VARIABLE {
            return Some(self.folders.join(&0).into());
        }
        env.get(name).map(|value| self.without_root(value))
    }

    /// True where a text names one of the tool's own places.
    pub fn own_are_named_in(&self, text: &[u8]) -> bool {
        let own = &self.folders[..self.roots_from];
        own.iter().any(|place| memmem::find(text, place).is_some())
    }

    /// True where a text or a file names the checkout's root.
    pub fn root_is_named_in(&self, text: &[u8]) -> bool {
        self.roots().iter().any(|root| memmem::find(text, root).is_some())
    }

    /// The arguments by which a compiler writes the root as `.`, given the flag for it.
    pub fn maps(&self, flag: &[u8]) -> Vec<Vec<u8>> {
        self.roots().iter().map(|root| [flag, root, b"=."].concat()).collect()
    }

    /// A value or an argument as every checkout has it.
    pub fn without_root<'a>(&self, value: &'a [u8]) -> Cow<'a, [u8]> {
        match self.fold(value, Syntax::Plain) {
            Some(folded) if !self.roots().is_empty() => folded.into(),
            _ => value.into(),
        }
    }

    /// A word with each mention of the root marked, be it a path of its own or not.
    pub fn mark_root(&self, word: &[u8]) -> Vec<u8> {
        let mut marked = word.to_vec();
        for (mark, root) in self.written(Syntax::Plain) {
            while let Some(at) = memmem::find(&marked, &root) {
                marked.splice(at..at + root.len(), mark);
            }
        }
        marked
    }

    /// Takes the root out of a text. None where the text has bytes that `unfold` would take
    /// for marks.
    pub fn fold(&self, text: &[u8], syntax: Syntax) -> Option<Vec<u8>> {
        if text.contains(&ROOT) {
            return None;
        }
        let mut folded = text.to_vec();
        for (mark, written) in self.written(syntax) {
            let mut rest = &folded[..];
            let mut next = Vec::with_capacity(folded.len());
            while let Some(at) = memmem::find(rest, &written) {
                let end = at + written.len();
                let before = if at == 0 { next.last() } else { rest.get(at - 1) };
                let is_whole = !before.is_some_and(|byte| continues_a_name(*byte))
                    && !rest.get(end).is_some_and(|byte| *byte != b'/' && continues_a_name(*byte));
                next.extend_from_slice(&rest[..at]);
                match is_whole {
                    true => next.extend_from_slice(&mark),
                    false => next.extend_from_slice(&written),
                }
                rest = &rest[end..];
            }
            next.extend_from_slice(rest);
            folded = next;
        }
        Some(folded)
    }

    /// Puts the root of this checkout in.
    pub fn unfold(&self, text: &[u8], syntax: Syntax) -> Vec<u8> {
        let marks = self.written(syntax);
        let mut whole = Vec::with_capacity(text.len() + 256);
        let mut rest = text;
        while let Some(at) = memchr::memchr(ROOT, rest) {
            whole.extend_from_slice(&rest[..at]);
            rest = &rest[at..];
            let Some((mark, written)) = marks.iter().find(|(mark, _)| rest.starts_with(mark))
            else {
                break;
            };
            whole.extend_from_slice(written);
            rest = &rest[mark.len()..];
        }
        whole.extend_from_slice(rest);
        whole
    }

    /// The marks of the root's names, and the names as this syntax writes them. Longer names come
    /// first: one may begin with another.
    fn written(&self, syntax: Syntax) -> Vec<([u8; 2], Vec<u8>)> {
        let roots = self.roots().iter().enumerate();
        let mut written: Vec<_> =
            roots.map(|(number, root)| ([ROOT, b'a' + number as u8], syntax.write(root))).collect();
        written.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        written
    }
}

/// How a text writes paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Plain,
    /// Dependency files (gcc, clang and rustc agree on what they escape here).
    Make,
    Json,
}

impl Syntax {
    fn write(self, path: &[u8]) -> Vec<u8> {
        match self {
            Syntax::Plain => path.to_vec(),
            Syntax::Make => {
                let mut written = Vec::with_capacity(path.len());
                for &byte in path {
                    match byte {
                        b' ' | b'\t' | b'#' => written.extend_from_slice(&[b'\\', byte]),
                        b'$' => written.extend_from_slice(b"$$"),
                        _ => written.push(byte),
                    }
                }
                written
            }
            Syntax::Json => {
                let text = String::from_utf8_lossy(path).into_owned();
                let quoted = serde_json::Value::String(text).to_string().into_bytes();
                quoted[1..quoted.len() - 1].to_vec()
            }
        }
    }
}

/// A byte that can't stand beside a whole path.
fn continues_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-+@~%".contains(&byte) || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(root: &str) -> Places {
        Places::new(Vec::new(), &[root.as_bytes().to_vec()])
    }

    #[test]
    fn paths_come_and_go() {
        let places = Places::new(vec![b"/t".to_vec(), b"/t/deps".to_vec()], &[b"/".to_vec()]);
        let spelled = places.spell(b"/t/deps/liba.rlib");
        assert_eq!(spelled, b"\x011/liba.rlib");
        assert_eq!(places.unspell(&spelled), b"/t/deps/liba.rlib");
        let moved = Places::new(vec![b"/u".to_vec(), b"/u/deps".to_vec()], &[]);
        assert_eq!(moved.unspell(&spelled), b"/u/deps/liba.rlib");
        assert_eq!(moved.spell(b"/tt/a"), b"/tt/a");
        assert_eq!(moved.unspell(b"/tt/a"), b"/tt/a");
        assert_eq!(moved.unspell(b"\x017/a"), b"\x017/a");
        assert_eq!(at("/w/1").spell(b"/w/1"), b"\x010");
        assert_eq!(at("/w/2").unspell(b"\x010"), b"/w/2");
    }

    #[test]
    fn places_move_with_their_checkout() {
        let own = vec![b"/w/1/target".to_vec(), b"/w/10".to_vec()];
        let moved = Places::new(own, &[b"/w/1".to_vec()]).in_checkout(&[b"/v".to_vec()]);
        assert_eq!(moved.unspell(b"\x010/a"), b"/v/target/a");
        assert_eq!(moved.unspell(b"\x011/a"), b"/w/10/a");
        assert_eq!(moved.unspell(b"\x012/a"), b"/v/a");
    }

    #[test]
    fn texts_follow_the_checkout() {
        let text = b"/w/1/a.o: /w/1/a.c /w/10/b.h /x/w/1/c.h '/w/1': /w/1.h\n";
        let folded = at("/w/1").fold(text, Syntax::Make).unwrap();
        assert_eq!(at("/w/1").unfold(&folded, Syntax::Make), text);
        let moved = at("/other/2").unfold(&folded, Syntax::Make);
        let expected = b"/other/2/a.o: /other/2/a.c /w/10/b.h /x/w/1/c.h '/other/2': /w/1.h\n";
        assert_eq!(moved, expected);
        assert!(at("/w/1").root_is_named_in(&folded), "and what is no path of ours is noticed");
        assert_eq!(at("/w").fold(b"a\x02b", Syntax::Plain), None);
    }

    #[test]
    fn each_syntax_writes_odd_names_its_way() {
        let folded = at("/w").fold(b"/w/a.c", Syntax::Make).unwrap();
        assert_eq!(at("/my $1").unfold(&folded, Syntax::Make), b"/my\\ $$1/a.c");
        assert_eq!(at("/my \"1").unfold(&folded, Syntax::Json), b"/my \\\"1/a.c");
        let folded = at("/my $1").fold(b"/my\\ $$1/a.c", Syntax::Make).unwrap();
        assert_eq!(at("/w").unfold(&folded, Syntax::Make), b"/w/a.c");
    }

    #[test]
    fn variables_are_folded_where_checkouts_share() {
        let env = Environment::new(b"DIR=/w/1/crate\0");
        let value = |places: &Places| places.variable(env, b"DIR").unwrap().into_owned();
        assert_eq!(value(&Places::default()), b"/w/1/crate");
        assert_eq!(value(&at("/w/1")), b"\x02a/crate");
        assert_eq!(at("/w/1").variable(env, b"NONE"), None);
    }
}
