//! What only all texts together tell: includes through macros, headers no directive names, and what
//! the assembler reads.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{Call, Run, Use};
use crate::inputs::dialect::Language;
use crate::inputs::resolve::memo::macro_values;
use crate::inputs::resolve::{PathRef, Presence, Question, Reason, World};
use crate::inputs::scan::{How, Include, Kind, Scan};
use crate::inputs::search::join;

/// Macros that compilers define themselves and that make a header's name.
fn names_itself(name: &[u8]) -> bool {
    matches!(name, b"__FILE__" | b"__BASE_FILE__" | b"__FILE_NAME__")
}

/// Macro values found in one round.
type Values = HashMap<(Kind, Box<[u8]>), (Vec<Include>, bool)>;

impl<W: World + ?Sized> Run<'_, W> {
    /// Includes through macros, as the literal includes they may stand for. True where some can't
    /// be known from what is read so far.
    pub(super) fn computed(&mut self, defines: &Scan) -> bool {
        let mut unresolved = defines.has_opaque;
        let mut uses = std::mem::take(&mut self.uses);
        for Call { file, path, wrapper, argument } in &self.calls {
            if self.wrappers.contains(wrapper) || defines.has_wrappers.contains(wrapper) {
                uses.push(Use {
                    file: file.clone(),
                    path: *path,
                    kind: Kind::HasInclude,
                    name: argument.clone(),
                    by_text: false,
                });
            }
        }
        let mut values = Values::new();
        for used in &uses {
            let (mut includes, mut opaque) = values
                .entry((used.kind, used.name.clone()))
                .or_insert_with(|| macro_values(&used.name, used.kind, &self.scans, defines))
                .clone();
            if &*used.name == b"__FILE__" {
                let name = self.world.spelled(used.path).to_vec().into();
                includes.push(Include { how: How::Quote, kind: used.kind, name });
                opaque = false;
            }
            let has = matches!(used.kind, Kind::HasInclude | Kind::HasIncludeNext | Kind::HasEmbed);
            // The compile succeeded, so an include whose macro nothing defines was not taken.
            let not_taken = !has && includes.is_empty() && !opaque && !names_itself(&used.name);
            if (includes.is_empty() || opaque) && (used.by_text || has) && !not_taken {
                unresolved = true;
            }
            let main = used.path == self.source;
            for include in &includes {
                let search = self.question.search;
                let number = self.memo.directive(self.world, search, &used.file.folder, include);
                if self.directive(number, used.by_text, main).is_err() {
                    unresolved = true;
                }
            }
        }
        // The `-D` bodies may ask, too, wherever they are used.
        for include in &defines.includes {
            let folders: Vec<_> = self.scans.iter().map(|file| file.folder.clone()).collect();
            for folder in folders {
                let search = self.question.search;
                let number = self.memo.directive(self.world, search, &folder, include);
                unresolved |= self.directive(number, false, false).is_err();
            }
        }
        uses.retain(|used| !self.is_call(used));
        self.uses = uses;
        unresolved
    }

    /// Made from a call above; made again in the next round.
    fn is_call(&self, used: &Use) -> bool {
        used.kind == Kind::HasInclude
            && self.calls.iter().any(|call| call.path == used.path && call.argument == used.name)
    }

    /// Headers of the list that no directive names: a computed include did. What stands before
    /// them under the same relative name must stay away.
    pub(super) fn unexplained(&mut self) {
        for at in 1..self.listed.len() {
            let path = self.listed[at];
            let Presence::File(id) = self.presence(path) else { continue };
            if path == self.source || self.explained.contains(&id) {
                continue;
            }
            let spelled = self.world.spelled(path);
            let besides = self.folders_with_computed.clone();
            let search = self.question.search;
            let all: Vec<&[u8]> =
                besides.iter().map(|f| &**f).chain(search.folders().iter().map(|f| &**f)).collect();
            for (place, folder) in all.iter().enumerate() {
                let Some(name) = below(folder, &spelled) else { continue };
                for earlier in &all[..place] {
                    let path = self.world.intern(&join(earlier, name));
                    if self.presence(path) == Presence::Absent {
                        self.absent(path);
                    }
                }
            }
        }
    }

    /// Files that are quoted though nobody includes them: gcc opens what `#line` names to show the line of a message, to
    /// look at its indentation or to explain assembly text, its assembler to list it.
    pub(super) fn quoted(&mut self) -> Result<(), Reason> {
        for at in 0..self.scans.len() {
            let file = &self.scans[at];
            if file.scan.line_opaque && !file.own {
                return Err(Reason::ComputedInclude);
            }
            // So it is with nearly all.
            if file.scan.line_files.is_empty() {
                continue;
            }
            let file = file.clone();
            for name in &file.scan.line_files {
                let path = self.memo.path(self.world, name);
                match self.presence(path) {
                    Presence::Absent => self.absent(path),
                    Presence::File(_) => self.read(path),
                    Presence::Folder(_) => self.exists(path),
                }
            }
        }
        Ok(())
    }

    /// Whether the assembler in the text that LLVM reads can be followed at all.
    pub(super) fn is_hidden(&self) -> bool {
        let hides = |scan: &Scan| scan.bitcode || scan.escaped_asm;
        self.question.language == Language::Ir && self.scans.iter().any(|file| hides(&file.scan))
    }

    /// Files the assembler reads.
    pub(super) fn assembler(&mut self) -> Result<(), Reason> {
        if self.is_hidden() {
            return Err(Reason::AssemblerInput);
        }
        let mut from = 0;
        let mut done = HashSet::new();
        loop {
            let files: Vec<_> = self.scans[from..].iter().filter(|f| !f.own).cloned().collect();
            let uses = self.assembly || self.scans.iter().any(|f| !f.own && f.scan.uses_asm);
            if !uses {
                return Ok(());
            }
            from = self.scans.len();
            for file in files {
                if file.scan.assembler_opaque && !self.question.assembler_listed {
                    return Err(Reason::AssemblerInput);
                }
                for wanted in &file.scan.assembler_files {
                    if !done.insert(wanted.clone()) {
                        continue;
                    }
                    // gcc hands `-I` on to the assembler.
                    let Question { search, assembler_folders, .. } = *self.question;
                    let folders = [&b""[..]].into_iter();
                    let folders = folders.chain(assembler_folders.iter().map(|f| &**f));
                    for folder in folders.chain(search.folders().iter().map(|f| &**f)) {
                        let path = self.world.intern(&join(folder, &wanted.name));
                        match self.presence(path) {
                            Presence::Absent => self.absent(path),
                            Presence::File(_) => {
                                self.read(path);
                                if wanted.text {
                                    self.assembly_text(path)?;
                                }
                                // Which of both kinds of folders come first differs.
                                if assembler_folders.is_empty() || folder.is_empty() {
                                    break;
                                }
                            }
                            Presence::Folder(_) => self.exists(path),
                        }
                    }
                }
            }
            if self.scans.len() == from {
                return Ok(());
            }
        }
    }

    /// A file of `.include`: only the assembler's own directives mean something in it.
    fn assembly_text(&mut self, path: PathRef) -> Result<(), Reason> {
        let scan = self.world.scan(path, true).ok_or(Reason::AssemblerInput)?;
        let files = AssemblyView::of(&scan);
        let file = self.memo.digest(self.world, self.question.search, path, files);
        self.scans.push(file);
        Ok(())
    }
}

/// The part of an `.include`d file's scan that counts.
struct AssemblyView;

impl AssemblyView {
    fn of(scan: &Scan) -> Arc<Scan> {
        Arc::new(Scan {
            text: scan.text,
            uses_asm: true,
            assembler_files: scan.assembler_files.clone(),
            assembler_opaque: scan.assembler_opaque,
            line_files: scan.line_files.clone(),
            line_opaque: scan.line_opaque,
            ..Scan::default()
        })
    }
}

/// The rest of a path below a folder.
fn below<'p>(folder: &[u8], path: &'p [u8]) -> Option<&'p [u8]> {
    if folder.is_empty() || folder == b"." {
        return (path.first() != Some(&b'/')).then_some(path);
    }
    let rest = path.strip_prefix(folder)?;
    if folder == b"/" { Some(rest) } else { rest.strip_prefix(b"/") }
}
