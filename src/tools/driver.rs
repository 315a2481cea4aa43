//! A driver of the gcc or clang kind, as it answered for itself.

use super::closure::{Closure, field};
use super::environment::names_that_matter;
use crate::inputs::dialect::Flavor;

/// What is known of a driver from its first answer.
#[derive(Clone, Debug)]
pub struct Driver {
    pub path: Vec<u8>,
    pub flavor: Flavor,
    /// Major version.
    pub major: u32,
    /// Its file is a script.
    pub is_script: bool,
    /// Variables its script text mentions, with their values now; empty for real programs.
    pub(super) script_variables: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) version_line: Vec<u8>,
    /// As its `Target:` line says.
    pub(super) target: Vec<u8>,
    /// The names a folder for this version may have: `12.2.0`, `12`.
    pub(super) versions: Vec<Vec<u8>>,
    /// How often its file was replaced before our eyes by one of equal content.
    pub(super) replaced: u32,
    /// What its answers depend on beside its own files, where it is a front for many (emcc).
    pub(super) front: Option<[u8; 32]>,
    pub(super) closure: Closure,
}

impl Driver {
    /// Adds the driver's own files.
    pub(super) fn add_to(&self, closure: &mut Closure) {
        closure.content.extend_from_slice(&self.closure.content);
        closure.absent.extend_from_slice(&self.closure.absent);
    }

    /// As its `Target:` line says.
    pub(super) fn target(&self) -> &[u8] {
        &self.target
    }

    /// A script that looks at variables of its own, which requests are not remembered by.
    pub(super) fn is_scripted(&self) -> bool {
        if self.script_variables.is_empty() {
            return false;
        }
        let known = names_that_matter();
        self.script_variables.iter().any(|(name, _)| !known.contains(&name[..]))
    }

    /// What tells it from others beside its files.
    pub(super) fn mark(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        field(&mut hasher, &self.version_line);
        self.add_variant(&mut hasher);
        *hasher.finalize().as_bytes()
    }

    /// What tells it from the same program in other surroundings.
    pub(super) fn add_variant(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.replaced.to_le_bytes());
        for (name, value) in &self.script_variables {
            field(hasher, name);
            field(hasher, value.as_deref().unwrap_or(b"\0unset"));
        }
        if let Some(front) = &self.front {
            field(hasher, front);
        }
    }
}
