//! Fetching a source into a part file: ranges side by side, resumed, retried, and never
//! stitched from two versions.
//!
//! Bytes of different answers may stand side by side only if the server vouches that they are of
//! one version (a strong tag or a date, the same in each answer, and the same length), or
//! if a SHA-256 was asked for, which judges the whole. Otherwise one answer has to bring all.

mod backoff;
mod crew;

use std::io::Read;
use std::thread;
use std::time::Duration;

use self::backoff::Backoff;
use super::digest::Growth;
use super::fault::{Fault, FaultKind};
use super::job::Job;
use super::order::{Order, Sha256, Url};
use super::part::{PartFile, Piece};
use super::ranges::{Ranges, Span};
use super::web::{self, Content, Shape, Trouble, Validator, Wanted, Web};
use crate::sys::fs::space_left;

/// How often a file may change while it is fetched.
const CHANGES_MAX: u32 = 4;
/// What a fetch brought.
pub struct Fetched {
    pub sha256: Sha256,
    pub size: u64,
    /// Of each piece, in order.
    pub versions: Vec<Option<Validator>>,
    /// Some of it was there from an earlier download, or came from several servers: a wrong hash
    /// may be our own doing.
    pub is_mixed: bool,
}

/// Why a server's answers end before the piece is whole.
enum Stop {
    /// It is another version now.
    Changed,
    /// An answer that nothing can be put beside broke off: from the start again.
    Again(String, Option<Duration>),
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

/// Where a fetch begins.
#[derive(Clone, Copy, PartialEq)]
pub enum Begin {
    /// Where an earlier one ended, from all servers.
    GoOn,
    /// Nothing that is there counts, and one connection brings everything, from the server of this number.
    Afresh { server: usize },
}

/// Fetches all pieces.
pub fn fetch(
    order: &Order,
    job: &Job,
    web: &Web,
    part: &PartFile,
    begin: Begin,
) -> Result<Fetched, Fault> {
    let mut pieces = order.source.pieces();
    let afresh = begin != Begin::GoOn;
    if let Begin::Afresh { server } = begin {
        for urls in &mut pieces {
            *urls = urls.drain(..).skip(server).take(1).collect();
        }
    }
    let mut known = if afresh { Vec::new() } else { part.pieces(order) };
    known.truncate(pieces.len());
    let mut is_mixed = known.iter().any(|piece| !is_untouched(piece));
    is_mixed |= !afresh && pieces.iter().any(|urls| urls.len() > 1);
    let growth = Growth::default();
    thread::scope(|scope| {
        let digest = scope.spawn(|| growth.digest(&part.file));
        let mut done: Vec<Piece> = Vec::new();
        let fetched = pieces.iter().enumerate().try_for_each(|(number, urls)| {
            let base = done.iter().map(|piece| piece.size).sum();
            let earlier = known.get(number).cloned();
            let one =
                OnePiece { order, job, web, part, growth: &growth, before: &done, base, afresh };
            let piece = one.fetch(urls, earlier)?;
            done.push(piece);
            Ok(())
        });
        let size = done.iter().map(|piece| piece.size).sum();
        let fetched = fetched.and_then(|()| {
            let cut = part.file.set_len(size);
            cut.map_err(|error| Fault::target("can't write", part.path(), &error))
        });
        if fetched.is_ok() {
            part.save(order, &done);
            job.verifying();
            growth.solid_to(size);
        }
        growth.end(fetched.is_ok());
        let digest = digest.join().unwrap_or_else(|_| Err(std::io::Error::other("it panicked")));
        fetched?;
        let sha256 = digest
            .map_err(|error| Fault::local(FaultKind::Other, "can't read", part.path(), &error))?
            .ok_or_else(|| Fault::new(FaultKind::Other, "the download did not become whole"))?;
        let versions = done.into_iter().map(|piece| piece.version).collect();
        Ok(Fetched { sha256, size, versions, is_mixed })
    })
}

fn is_untouched(piece: &Piece) -> bool {
    piece.missing == [Span { at: 0, end: piece.size }]
}

/// Fetches one piece.
struct OnePiece<'a> {
    order: &'a Order,
    job: &'a Job,
    web: &'a Web,
    part: &'a PartFile,
    growth: &'a Growth,
    /// The pieces before it, which are whole.
    before: &'a [Piece],
    /// Where it begins in the file.
    base: u64,
    afresh: bool,
}

impl OnePiece<'_> {
    fn fetch(&self, urls: &[Url], mut known: Option<Piece>) -> Result<Piece, Fault> {
        let (mut at, mut changes) = (0, 0);
        loop {
            let size = known.as_ref().map_or(0, |piece| piece.size);
            let whole = known.as_ref().is_some_and(|piece| piece.missing.is_empty());
            if let (true, Some(piece)) = (whole, &known) {
                self.growth.solid_to(self.base + size);
                return Ok(piece.clone());
            }
            match self.attempt(urls, at, &mut known) {
                Ok(()) => {}
                Err(Stop::Changed) => {
                    changes += 1;
                    known = None;
                    if changes >= CHANGES_MAX {
                        let text = format!("{}: it changes all the time", urls[at]);
                        return Err(Fault::new(FaultKind::Server, text));
                    }
                    log::info!("{}: it has changed; from the start again", urls[at]);
                }
                Err(Stop::Again(text, _)) => {
                    return Err(Fault::new(FaultKind::Network, text));
                }
                Err(Stop::Fault(fault)) => {
                    let remote = fault.kind.is_remote();
                    at += 1;
                    if !remote || at >= urls.len() || self.job.is_cancelled() {
                        return Err(fault);
                    }
                    log::info!("{fault}; on to {}", urls[at]);
                    // Another server's version is another one until a hash says otherwise.
                    let judged = self.order.sha256.is_some() && !self.afresh;
                    known = known.filter(|_| judged).map(|piece| Piece { version: None, ..piece });
                }
            }
        }
    }

    /// Has one server bring what is missing, as far as it does.
    fn attempt(&self, urls: &[Url], main: usize, known: &mut Option<Piece>) -> Result<(), Stop> {
        let url = &urls[main];
        let mut backoff = Backoff::default();
        // One that does not understand ranges, or has nothing to cut.
        let mut ranges_known = true;
        loop {
            self.check_cancelled()?;
            let wanted = match known {
                Some(piece) => {
                    let span = piece.missing.first().copied();
                    let span = span.unwrap_or(Span { at: 0, end: piece.size });
                    Wanted::Between(span.at, span.end, piece.version.as_ref())
                }
                None if ranges_known => Wanted::FromStart,
                None => Wanted::Everything,
            };
            let content = match self.web.get(url, wanted) {
                Ok(content) => content,
                Err(Trouble::Final(fault)) => return Err(fault.into()),
                Err(Trouble::NoSuchRange) if known.is_some() => return Err(Stop::Changed),
                Err(Trouble::NoSuchRange) if ranges_known => {
                    ranges_known = false;
                    continue;
                }
                Err(Trouble::NoSuchRange | Trouble::NotModified) => {
                    let text = format!("{url}: the server answers what was not asked");
                    return Err(Fault::new(FaultKind::Server, text).into());
                }
                Err(Trouble::Passing(text, after)) => {
                    self.job.trouble(&text);
                    if !backoff.wait(after, &|| self.job.is_cancelled()) {
                        self.check_cancelled()?;
                        return Err(Fault::new(FaultKind::Network, text).into());
                    }
                    continue;
                }
            };
            match (content.shape, &known) {
                (Shape::Range { start: 0, total, .. }, None) => {
                    self.make_room(total)?;
                    // Without a version, and nothing to judge the whole by, one answer brings all.
                    let judged = self.order.sha256.is_some() && !self.afresh;
                    let may_mix = content.version.is_some() || judged;
                    let parts =
                        if may_mix && !self.afresh { self.order.effort.parts_of(total) } else { 1 };
                    let ranges = Ranges::whole(total, parts, self.order.effort.min_segment);
                    self.restart();
                    *known = Some(Piece {
                        size: total,
                        version: content.version.clone(),
                        missing: ranges.left(),
                    });
                    match self.bring(urls, main, known, content, may_mix) {
                        Err(Stop::Again(text, after)) => {
                            *known = None;
                            self.job.trouble(&text);
                            if !backoff.wait(after, &|| self.job.is_cancelled()) {
                                self.check_cancelled()?;
                                return Err(Fault::new(FaultKind::Network, text).into());
                            }
                        }
                        ended => return ended,
                    }
                }
                (Shape::Range { start, total, .. }, Some(piece)) => {
                    let at = piece.missing.first().map_or(0, |span| span.at);
                    let other = piece.version.is_some() && content.version != piece.version;
                    if start != at || total != piece.size || other {
                        return Err(Stop::Changed);
                    }
                    // Another server's, which the hash will judge.
                    if let Some(piece) = known {
                        piece.version = content.version.clone();
                    }
                    return self.bring(urls, main, known, content, true);
                }
                // A range that was not asked for.
                (Shape::Range { .. }, None) => ranges_known = false,
                (Shape::Whole(_) | Shape::Gzip, _) => {
                    *known = None;
                    self.restart();
                    match self.stream(url, content) {
                        Ok(piece) => {
                            *known = Some(piece);
                            return Ok(());
                        }
                        Err(Trouble::Final(fault)) => return Err(fault.into()),
                        Err(Trouble::Passing(text, _)) => {
                            self.job.trouble(&text);
                            if !backoff.wait(None, &|| self.job.is_cancelled()) {
                                self.check_cancelled()?;
                                return Err(Fault::new(FaultKind::Network, text).into());
                            }
                        }
                        Err(Trouble::NoSuchRange | Trouble::NotModified) => {}
                    }
                }
            }
        }
    }

    /// What is there of this piece counts no more, also for whoever comes after a kill.
    fn restart(&self) {
        self.growth.restart(self.base);
        self.part.save(self.order, self.before);
    }

    fn check_cancelled(&self) -> Result<(), Fault> {
        if self.job.is_cancelled() { Err(Fault::cancelled()) } else { Ok(()) }
    }

    fn make_room(&self, size: u64) -> Result<(), Fault> {
        let folder = self.order.target.parent().unwrap_or(&self.order.target);
        let have = self.part.file.metadata().map_or(0, |meta| {
            use std::os::unix::fs::MetadataExt;
            meta.blocks() * 512
        });
        match space_left(folder) {
            Some(left) if left.saturating_add(have) < size => {
                let text =
                    format!("{}: {left} bytes are left, and the file has {size}", folder.display());
                Err(Fault::new(FaultKind::Space, text))
            }
            _ => Ok(()),
        }
    }

    /// One answer with everything.
    fn stream(&self, url: &Url, content: Content) -> Result<Piece, Trouble> {
        let length = match content.shape {
            Shape::Whole(length) => length,
            _ => None,
        };
        if let Some(length) = length {
            self.make_room(length).map_err(Trouble::Final)?;
        }
        self.job.connections(1);
        let mut body: Box<dyn Read> = match content.shape {
            Shape::Gzip => Box::new(web::unzipped(content.body)),
            _ => Box::new(content.body),
        };
        let mut buffer = vec![0; web::BUFFER];
        let mut at = 0;
        loop {
            self.check_cancelled().map_err(Trouble::Final)?;
            let (count, ended) = web::fill(&mut body, &mut buffer);
            self.part.write_at(&buffer[..count], self.base + at).map_err(Trouble::Final)?;
            at += count as u64;
            self.growth.solid_to(self.base + at);
            self.job.have(self.base + at, length.map(|length| self.base + length));
            match ended {
                None => {}
                Some(Ok(())) => break,
                Some(Err(error)) => {
                    return Err(Trouble::Passing(web::read_error(url, &error), None));
                }
            }
        }
        if length.is_some_and(|length| length != at) {
            let text = format!("{url}: the connection broke off after {at} bytes");
            return Err(Trouble::Passing(text, None));
        }
        Ok(Piece { size: at, version: content.version, missing: Vec::new() })
    }
}
