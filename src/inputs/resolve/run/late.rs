//! What only all texts together tell: includes through macros, headers no directive names, and what
//! the assembler reads.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Run;
use crate::inputs::dialect::Language;
use crate::inputs::resolve::digest::{Digest, Reading};
use crate::inputs::resolve::memo::Use;
use crate::inputs::resolve::spots::Spot;
use crate::inputs::resolve::{Presence, Question, Reason, World};
use crate::inputs::scan::{How, Include, Kind, MacroBody, Scan};
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
        let own = uses.len();
        uses.extend(self.called(defines));
        let mut values = Values::new();
        if !uses.is_empty() {
            self.know_scans();
        }
        for used in &uses {
            let (mut includes, mut opaque) = values
                .entry((used.kind, used.name.clone()))
                .or_insert_with(|| self.macro_values(&used.name, used.kind, defines))
                .clone();
            if &*used.name == b"__FILE__" {
                let name = self.world.spelled(self.path(used.spot)).to_vec().into();
                includes.push(Include { how: How::Quote, kind: used.kind, name });
                opaque = false;
            }
            let has = matches!(used.kind, Kind::HasInclude | Kind::HasIncludeNext | Kind::HasEmbed);
            // The compile succeeded, so an include whose macro nothing defines was not taken.
            let not_taken = !has && includes.is_empty() && !opaque && !names_itself(&used.name);
            if (includes.is_empty() || opaque) && (used.by_text || has) && !not_taken {
                unresolved = true;
            }
            let main = used.spot == self.source;
            for include in &includes {
                let search = self.question.search;
                let folder = self.folder(used.file).clone();
                let number = self.memo.directive(self.world, search, &folder, include);
                if self.directive(number, used.by_text, main).is_err() {
                    unresolved = true;
                }
            }
        }
        // The `-D` bodies may ask, too, wherever they are used.
        for include in &defines.includes {
            let folders: Vec<_> =
                self.scans.iter().map(|file| self.folder(*file).clone()).collect();
            for folder in folders {
                let search = self.question.search;
                let number = self.memo.directive(self.world, search, &folder, include);
                unresolved |= self.directive(number, false, false).is_err();
            }
        }
        // The others are made anew in the next round.
        uses.truncate(own);
        self.uses = uses;
        unresolved
    }

    /// From now on the macros of all scans count.
    pub(super) fn know_scans(&mut self) {
        self.known.extend(&self.scans);
    }

    /// The literal includes that a macro may stand for; and whether it may be anything else.
    fn macro_values(&mut self, name: &[u8], kind: Kind, defines: &Scan) -> (Vec<Include>, bool) {
        let mut found = Vec::new();
        let mut opaque = false;
        let mut names: Vec<Box<[u8]>> = vec![name.into()];
        let mut at = 0;
        while at < names.len() {
            let wanted = names[at].clone();
            at += 1;
            let definers = self.memo.files.definers(&wanted).to_vec();
            let definers = definers.iter().filter(|file| self.known.contains(file));
            let all = definers.map(|file| &**self.scan(*file)).chain([defines]);
            for (_, body) in all.flat_map(|scan| &scan.header_macros).filter(|m| m.0 == wanted) {
                let mut include = |how, name: &[u8]| {
                    found.push(Include { how, kind, name: name.into() });
                };
                match body {
                    MacroBody::Quote(name) => include(How::Quote, name),
                    MacroBody::Angle(name) => include(How::Angle, name),
                    MacroBody::Alias(other) => {
                        if !names.contains(other) {
                            names.push(other.clone());
                        }
                    }
                    MacroBody::Opaque => opaque = true,
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        (found, opaque)
    }

    /// `F(NAME)` in `#if` lines, where some `F` asks for a header.
    fn called(&self, defines: &Scan) -> Vec<Use> {
        let mut uses = Vec::new();
        if self.wrappers.is_empty() && defines.has_wrappers.is_empty() {
            return uses;
        }
        for &(file, spot) in &self.callers {
            for (wrapper, argument) in &self.scan(file).has_calls {
                if self.wrappers.contains(wrapper) || defines.has_wrappers.contains(wrapper) {
                    let (kind, name) = (Kind::HasInclude, argument.clone());
                    uses.push(Use { file, spot, kind, name, by_text: false });
                }
            }
        }
        uses
    }

    /// Headers of the list that no directive names: a computed include did. What stands before
    /// them under the same relative name must stay away.
    pub(super) fn unexplained(&mut self) {
        for at in 1..self.listed.len() {
            let spot = self.listed[at];
            let Presence::File(id) = self.presence(spot) else { continue };
            if spot == self.source || self.explained.contains(&id) {
                continue;
            }
            let spelled = self.world.spelled(self.path(spot));
            let besides = self.folders_with_computed.clone();
            let search = self.question.search;
            let all: Vec<&[u8]> =
                besides.iter().map(|f| &**f).chain(search.folders().iter().map(|f| &**f)).collect();
            for (place, folder) in all.iter().enumerate() {
                let Some(name) = below(folder, &spelled) else { continue };
                for earlier in &all[..place] {
                    let spot = self.memo.spots.intern(self.world, &join(earlier, name));
                    if self.presence(spot) == Presence::Absent {
                        self.absent(spot);
                    }
                }
            }
        }
    }

    /// Files that are quoted though nobody includes them: gcc opens what `#line` names to show the line of a message, to
    /// look at its indentation or to explain assembly text, its assembler to list it.
    pub(super) fn quoted(&mut self) -> Result<(), Reason> {
        for at in 0..self.scans.len() {
            let file = self.scans[at];
            let Digest { line_opaque, line_files, own, .. } = *self.memo.files.digest(file);
            if line_opaque && !own {
                return Err(Reason::ComputedInclude);
            }
            // So it is with nearly all.
            if !line_files {
                continue;
            }
            let scan = self.scan(file).clone();
            for name in &scan.line_files {
                let spot = self.memo.listed(self.world, name);
                match self.presence(spot) {
                    Presence::Absent => self.absent(spot),
                    Presence::File(_) => self.read(spot),
                    Presence::Folder(_) => self.exists(spot),
                }
            }
        }
        Ok(())
    }

    /// Whether the assembler in the text that LLVM reads can be followed at all.
    pub(super) fn is_hidden(&self) -> bool {
        let hides = |scan: &Scan| scan.bitcode || scan.escaped_asm;
        self.question.language == Language::Ir
            && self.scans.iter().any(|file| hides(self.scan(*file)))
    }

    /// Files the assembler reads.
    pub(super) fn assembler(&mut self) -> Result<(), Reason> {
        if self.is_hidden() {
            return Err(Reason::AssemblerInput);
        }
        let mut from = 0;
        let mut done = HashSet::new();
        loop {
            let uses = self.digests().any(|digest| !digest.own && digest.uses_asm);
            if !uses && !self.assembly {
                return Ok(());
            }
            let files: Vec<_> = self.scans[from..].to_vec();
            from = self.scans.len();
            for file in files {
                let digest = self.memo.files.digest(file);
                if digest.own || !digest.assembler_opaque && !digest.assembler_files {
                    continue;
                }
                if digest.assembler_opaque && !self.question.assembler_listed {
                    return Err(Reason::AssemblerInput);
                }
                let scan = self.scan(file).clone();
                for wanted in &scan.assembler_files {
                    if !done.insert(wanted.clone()) {
                        continue;
                    }
                    // gcc hands `-I` on to the assembler.
                    let Question { search, assembler_folders, .. } = *self.question;
                    let folders = [&b""[..]].into_iter();
                    let folders = folders.chain(assembler_folders.iter().map(|f| &**f));
                    for folder in folders.chain(search.folders().iter().map(|f| &**f)) {
                        let path = join(folder, &wanted.name);
                        let spot = self.memo.spots.intern(self.world, &path);
                        match self.presence(spot) {
                            Presence::Absent => self.absent(spot),
                            Presence::File(_) => {
                                self.read(spot);
                                if wanted.text {
                                    self.assembly_text(spot)?;
                                }
                                // Which of both kinds of folders come first differs.
                                if assembler_folders.is_empty() || folder.is_empty() {
                                    break;
                                }
                            }
                            Presence::Folder(_) => self.exists(spot),
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
    fn assembly_text(&mut self, spot: Spot) -> Result<(), Reason> {
        let scan = self.world.scan(self.path(spot), true).ok_or(Reason::AssemblerInput)?;
        let files = AssemblyView::of(&scan);
        let (world, search) = (&mut *self.world, self.question.search);
        let file = self.memo.take_up(world, search, spot, Reading::Included, files);
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
