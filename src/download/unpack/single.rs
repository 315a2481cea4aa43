//! One compressed file, which is no archive.

use std::io::{self, Read};
use std::path::Path;

use super::tree::{About, Tree};

pub(super) fn unpack(mut from: impl Read, name: &Path, tree: &mut Tree<'_>) -> io::Result<()> {
    tree.file(name, About { mode: 0o644, mtime: None }, &mut from)
}
