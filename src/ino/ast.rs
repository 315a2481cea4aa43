//! Reads clang's JSON syntax tree as it arrives, keeping only what the sketch itself declares
//! at its top. The tree of a sketch with a large library is hundreds of megabytes.
//!
//! clang names the file of a location only when it is another than that of the location
//! before, in the order of the text: so every location is read, also in parts that are dropped.

use std::fmt;
use std::io::Read;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The declarations of the sketch, in their order.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) declarations: Vec<Node>,
}

/// What is kept of a node. Places are offsets into the sketch.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) kind: String,
    pub(super) name: String,
    /// Where the name is; None where a macro made it.
    pub(super) named_at: Option<usize>,
    pub(super) begin: Option<Place>,
    /// Just behind the last token.
    pub(super) end: Option<Place>,
    /// It was declared before.
    pub(super) is_again: bool,
    /// A parameter: it has a default.
    pub(super) has_init: bool,
    /// Of a linkage specification: "C" or "C++".
    pub(super) language: String,
    pub(super) inner: Vec<Node>,
    in_sketch: bool,
}

/// A place in the sketch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) at: usize,
    /// It is where a macro is used, not where the text stands.
    pub(super) is_macro: bool,
}

/// How deep nodes are kept: unit, linkage specification, template, function, parameter.
const DEPTH_KEPT: usize = 5;

/// Fails on anything that is not a whole tree. `shift`: where the sketch begins in the text
/// that clang was given.
pub(super) fn read(from: impl Read, shift: usize) -> serde_json::Result<Tree> {
    let mut json = serde_json::Deserializer::from_reader(from);
    // Expressions nest as deep as their text does.
    json.disable_recursion_limit();
    let mut state = State { in_input: false, shift };
    let unit = NodeSeed { state: &mut state, depth: 0 }.deserialize(&mut json)?;
    if unit.kind != "TranslationUnitDecl" {
        return Err(serde_json::Error::custom("not a syntax tree"));
    }
    let declarations = unit.inner.into_iter().filter(|node| node.in_sketch).collect();
    Ok(Tree { declarations })
}

struct State {
    /// The last location was in the text that clang was given, not in a file.
    in_input: bool,
    shift: usize,
}

struct NodeSeed<'s> {
    state: &'s mut State,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node of a syntax tree")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut node = Node::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "kind" => node.kind = map.next_value()?,
                "name" => node.name = map.next_value()?,
                "language" => node.language = map.next_value()?,
                "loc" => {
                    let spot = map.next_value_seed(SpotSeed(self.state))?;
                    node.named_at =
                        spot.filter(|spot| !spot.place.is_macro).map(|spot| spot.place.at);
                }
                "range" => {
                    let range = map.next_value_seed(RangeSeed(self.state))?;
                    node.in_sketch = range.begin.is_some();
                    node.begin = range.begin.map(|spot| spot.place);
                    node.end = range
                        .end
                        .map(|spot| Place { at: spot.place.at + spot.length, ..spot.place });
                }
                "previousDecl" => {
                    node.is_again = true;
                    map.next_value::<IgnoredAny>()?;
                }
                "init" | "hasInit" => {
                    node.has_init = true;
                    map.next_value::<IgnoredAny>()?;
                }
                "inner" | "array_filler" => {
                    let depth = self.depth + 1;
                    node.inner.extend(map.next_value_seed(NodesSeed { state: self.state, depth })?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(node)
    }
}

struct NodesSeed<'s> {
    state: &'s mut State,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NodesSeed<'_> {
    type Value = Vec<Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Node>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for NodesSeed<'_> {
    type Value = Vec<Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nodes of a syntax tree")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Node>, A::Error> {
        let mut nodes = Vec::new();
        loop {
            let seed = NodeSeed { state: &mut *self.state, depth: self.depth };
            let Some(node) = seq.next_element_seed(seed)? else { return Ok(nodes) };
            if self.depth < DEPTH_KEPT && node.in_sketch {
                nodes.push(node);
            }
        }
    }
}

/// A location in the sketch.
#[derive(Clone, Copy)]
struct Spot {
    place: Place,
    /// Of its token.
    length: usize,
}

#[derive(Default)]
struct Range {
    begin: Option<Spot>,
    end: Option<Spot>,
}

struct RangeSeed<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for RangeSeed<'_> {
    type Value = Range;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Range, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RangeSeed<'_> {
    type Value = Range;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a source range")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Range, A::Error> {
        let mut range = Range::default();
        while let Some(key) = map.next_key::<String>()? {
            let spot = map.next_value_seed(SpotSeed(self.0))?;
            match key.as_str() {
                "begin" => range.begin = spot,
                _ => range.end = spot,
            }
        }
        Ok(range)
    }
}

struct SpotSeed<'s>(&'s mut State);

impl<'de> DeserializeSeed<'de> for SpotSeed<'_> {
    type Value = Option<Spot>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SpotSeed<'_> {
    type Value = Option<Spot>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a source location")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Spot>, A::Error> {
        let (mut offset, mut length) = (None, 0);
        let mut expansion = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "file" => self.0.in_input = map.next_value::<String>()? == "<stdin>",
                "offset" => offset = Some(map.next_value::<usize>()?),
                "tokLen" => length = map.next_value::<usize>()?,
                "expansionLoc" => expansion = map.next_value_seed(SpotSeed(&mut *self.0))?,
                "spellingLoc" => {
                    map.next_value_seed(SpotSeed(&mut *self.0))?;
                }
                // Among them the file that included this one, which is not where we are.
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if let Some(Spot { place, length }) = expansion {
            return Ok(Some(Spot { place: Place { is_macro: true, ..place }, length }));
        }
        let at = offset.filter(|_| self.0.in_input).and_then(|at| at.checked_sub(self.0.shift));
        Ok(at.map(|at| Spot { place: Place { at, is_macro: false }, length }))
    }
}
