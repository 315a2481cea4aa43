//! Fetching a source into a part file: ranges side by side, resumed, retried, and never
//! stitched from two versions.
//!
//! Bytes of different answers may stand side by side only if the server vouches that they are of
//! one version (a strong tag or a date, the same in each answer, and the same length), or
//! if a SHA-256 was asked for, which judges the whole. Otherwise one answer has to bring all.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::digest::Growth;
use super::fault::{Fault, FaultKind};
use super::job::Job;
use super::order::{Order, Sha256, Url};
use super::part::{PartFile, Piece, space_left};
use super::ranges::{Ranges, Span, Ticket};
use super::web::{self, Content, Shape, Trouble, Validator, Wanted, Web};

/// Tries in a row that bring nothing, before a server is given up.
const TRIES: u32 = 6;
/// How often a file may change while it is fetched.
const CHANGES_MAX: u32 = 4;
/// What is there is noted so often.
const NOTED: Duration = Duration::from_millis(200);

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

/// What those who fetch ranges of one version share.
struct Crew<'a> {
    ranges: Mutex<Ranges>,
    version: Option<Validator>,
    urls: &'a [Url],
    /// The address whose version it is.
    main: usize,
    /// Several answers may stand side by side.
    may_mix: bool,
    is_over: AtomicBool,
    stopped: Mutex<Option<Stop>>,
    hands: AtomicU32,
    noted: Mutex<Instant>,
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

    /// Several hands bring what is missing; the first has an answer already. What is there in the
    /// end is noted, whatever it ended with.
    fn bring(
        &self,
        urls: &[Url],
        main: usize,
        known: &mut Option<Piece>,
        content: Content,
        may_mix: bool,
    ) -> Result<(), Stop> {
        let Some(piece) = known else { return Ok(()) };
        let mut ranges = Ranges::missing(piece.size, piece.missing.clone());
        let Some((ticket, span)) = ranges.take(u64::MAX) else {
            piece.missing = Vec::new();
            return Ok(());
        };
        let least = self.order.effort.min_segment;
        let worth: u64 = ranges.left().iter().map(|span| span.length().div_ceil(least)).sum();
        let alone = !may_mix || self.afresh;
        let most = if alone { 1 } else { u64::from(self.order.effort.connections) };
        let crew = Crew {
            ranges: Mutex::new(ranges),
            version: piece.version.clone(),
            urls,
            main,
            may_mix,
            is_over: AtomicBool::new(false),
            stopped: Mutex::new(None),
            hands: AtomicU32::new(1),
            noted: Mutex::new(Instant::now()),
        };
        self.tell(&crew);
        thread::scope(|scope| {
            for hand in 1..worth.min(most) as usize {
                crew.hands.fetch_add(1, Ordering::Relaxed);
                let crew = &crew;
                scope.spawn(move || self.work(crew, hand, None));
            }
            self.work(&crew, 0, Some((ticket, span, content)));
        });
        piece.missing = crew.ranges.lock().left();
        self.note(&crew);
        match crew.stopped.into_inner() {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// Fetches span after span until there is none left.
    fn work(&self, crew: &Crew<'_>, hand: usize, first: Option<(Ticket, Span, Content)>) {
        let mut first = first;
        let mut backoff = Backoff::default();
        // Hands beyond the first go to other servers, where a hash judges the whole.
        let elsewhere = self.order.sha256.is_some();
        let mut at = if elsewhere { (crew.main + hand) % crew.urls.len() } else { crew.main };
        let mut buffer = vec![0; web::BUFFER];
        self.job.connections(crew.hands.load(Ordering::Relaxed));
        while !crew.is_over.load(Ordering::Relaxed) {
            let (ticket, span, content) = match first.take() {
                Some((ticket, span, content)) => (ticket, span, Ok(content)),
                None => {
                    let taken = crew.ranges.lock().take(self.order.effort.min_segment);
                    let Some((ticket, span)) = taken else { break };
                    let version = crew.version.as_ref().filter(|_| at == crew.main);
                    let wanted = Wanted::Between(span.at, span.end, version);
                    (ticket, span, self.web.get(&crew.urls[at], wanted))
                }
            };
            let size = crew.ranges.lock().size();
            let copied = match content {
                Ok(content) => match content.shape {
                    Shape::Range { start, total, .. }
                        if start == span.at
                            && total == size
                            && (at != crew.main || content.version == crew.version) =>
                    {
                        self.copy(crew, ticket, span.at, content, &crew.urls[at], &mut buffer)
                    }
                    // A mirror with something else is none.
                    _ if at != crew.main => {
                        Err(Trouble::Passing(format!("{}: not the same file", crew.urls[at]), None))
                    }
                    _ => {
                        crew.stop(Stop::Changed);
                        break;
                    }
                },
                Err(Trouble::NoSuchRange) if at == crew.main => {
                    crew.stop(Stop::Changed);
                    break;
                }
                Err(trouble) => Err(trouble),
            };
            let got_some = crew.ranges.lock().end_of(ticket).is_none()
                || crew.ranges.lock().left().iter().all(|left| left.at != span.at);
            crew.ranges.lock().give_back(ticket);
            let trouble = match copied {
                Ok(()) => {
                    backoff = Backoff::default();
                    continue;
                }
                Err(trouble) => trouble,
            };
            if got_some {
                backoff = Backoff::default();
            }
            let (fault, after) = match trouble {
                Trouble::Passing(text, after) => (Fault::new(FaultKind::Network, text), after),
                Trouble::Final(fault) => (fault, None),
                Trouble::NoSuchRange | Trouble::NotModified => {
                    let text = format!("{}: not the same file", crew.urls[at]);
                    (Fault::new(FaultKind::Server, text), None)
                }
            };
            let remote = fault.kind.is_remote();
            if !remote {
                crew.stop(fault.into());
                break;
            }
            if !crew.may_mix {
                crew.stop(Stop::Again(fault.text, after));
                break;
            }
            self.job.trouble(&fault.text);
            if at != crew.main {
                at = crew.main;
                continue;
            }
            // A server may not like so many of us: as long as others are at it, one may go.
            let alone = || crew.hands.load(Ordering::Relaxed) <= 1;
            let is_final = fault.kind == FaultKind::Server;
            let over = || crew.is_over.load(Ordering::Relaxed) || self.job.is_cancelled();
            if is_final || !backoff.wait(after, &over) {
                if self.job.is_cancelled() {
                    crew.stop(Fault::cancelled().into());
                } else if alone() {
                    crew.stop(fault.into());
                }
                break;
            }
        }
        let left = crew.hands.fetch_sub(1, Ordering::Relaxed) - 1;
        self.job.connections(left);
        // All hands left one by one, each counting on the others.
        if left == 0 && !crew.ranges.lock().is_done() {
            let text = format!("{}: no connection lasts", crew.urls[crew.main]);
            crew.stop(Fault::new(FaultKind::Network, text).into());
        }
    }

    /// Copies an answer to its place, up to the end of the span, which others may move.
    fn copy(
        &self,
        crew: &Crew<'_>,
        ticket: Ticket,
        from: u64,
        content: Content,
        url: &Url,
        buffer: &mut [u8],
    ) -> Result<(), Trouble> {
        let (mut body, mut at) = (content.body, from);
        let answer_ends = match content.shape {
            Shape::Range { end, .. } => Some(end),
            _ => None,
        };
        loop {
            self.check_cancelled().map_err(Trouble::Final)?;
            if crew.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let Some(end) = crew.ranges.lock().end_of(ticket) else {
                // Only who has heard the end of an answer gives its connection back, for the next.
                if answer_ends == Some(at) {
                    let _ = body.read(&mut [0]);
                }
                return Ok(());
            };
            let want = (end - at).min(buffer.len() as u64) as usize;
            let (count, ended) = web::fill(&mut body, &mut buffer[..want]);
            self.part.write_at(&buffer[..count], self.base + at).map_err(Trouble::Final)?;
            at += count as u64;
            crew.ranges.lock().advance(ticket, at);
            self.tell(crew);
            match ended {
                None => {}
                Some(Ok(())) => {
                    let text = format!("{url}: the connection broke off at byte {at}");
                    return Err(Trouble::Passing(text, None));
                }
                Some(Err(error)) => {
                    return Err(Trouble::Passing(web::read_error(url, &error), None));
                }
            }
        }
    }

    /// Tells how far it is, and notes it now and then.
    fn tell(&self, crew: &Crew<'_>) {
        let (have, solid, size) = {
            let ranges = crew.ranges.lock();
            (ranges.have(), ranges.solid(), ranges.size())
        };
        self.growth.solid_to(self.base + solid);
        self.job.have(self.base + have, Some(self.base + size));
        if let Some(mut noted) = crew.noted.try_lock()
            && noted.elapsed() >= NOTED
        {
            self.note(crew);
            *noted = Instant::now();
        }
    }

    fn note(&self, crew: &Crew<'_>) {
        let piece = {
            let ranges = crew.ranges.lock();
            Piece { size: ranges.size(), version: crew.version.clone(), missing: ranges.left() }
        };
        self.part.save(self.order, &[self.before, &[piece]].concat());
    }
}

impl Crew<'_> {
    /// The first reason counts.
    fn stop(&self, why: Stop) {
        self.is_over.store(true, Ordering::Relaxed);
        self.stopped.lock().get_or_insert(why);
    }
}

/// Longer and longer pauses between tries that bring nothing.
#[derive(Default)]
struct Backoff {
    tries: u32,
}

impl Backoff {
    const LONGEST: Duration = Duration::from_secs(60);

    /// Waits before the next try, as long as the server asked for where it did. False: there is
    /// none, or it is `over`.
    fn wait(&mut self, after: Option<Duration>, over: &dyn Fn() -> bool) -> bool {
        self.tries += 1;
        if self.tries >= TRIES {
            return false;
        }
        let base = Duration::from_millis(150) * 2u32.pow(self.tries);
        // Not all at once again.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let jitter = now.map_or(0, |now| now.subsec_nanos()) % 100;
        let pause = after.unwrap_or(base + base * jitter / 200).min(Backoff::LONGEST);
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if over() {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    }
}
