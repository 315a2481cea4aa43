//! Ranges of one version, fetched side by side by several hands.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::backoff::Backoff;
use super::{OnePiece, Stop};
use crate::download::fault::{Fault, FaultKind};
use crate::download::order::Url;
use crate::download::part::Piece;
use crate::download::ranges::{Ranges, Span, Ticket};
use crate::download::web::{self, Content, Shape, Trouble, Validator, Wanted};

/// What is there is noted so often.
const NOTED: Duration = Duration::from_millis(200);

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
    /// Several hands bring what is missing; the first has an answer already. What is there in the
    /// end is noted, whatever it ended with.
    pub(super) fn bring(
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
