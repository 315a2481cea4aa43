//! What of a file is still missing, shared by those who fetch it: each takes a span, and who is
//! done early takes half of the longest that is left.

use serde::{Deserialize, Serialize};

/// `[at, end)` is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub at: u64,
    pub end: u64,
}

impl Span {
    pub fn length(self) -> u64 {
        self.end - self.at
    }
}

/// The missing spans of a file of known size.
#[derive(Debug)]
pub struct Ranges {
    size: u64,
    /// In order of offset; never empty spans but for those taken.
    spans: Vec<Taken>,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    span: Span,
    /// Who has it.
    by: Option<Ticket>,
}

/// Names a span that somebody has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ranges {
    /// All is missing, in this many spans of at least `least` bytes.
    pub fn whole(size: u64, parts: u32, least: u64) -> Ranges {
        let parts = u64::from(parts).min(size / least.max(1)).max(1);
        let step = size.div_ceil(parts);
        let spans = (0..parts).map(|n| Span { at: n * step, end: ((n + 1) * step).min(size) });
        Ranges::missing(size, spans.filter(|span| span.at < span.end).collect())
    }

    /// These are missing. Spans that make no sense count as everything.
    pub fn missing(size: u64, mut spans: Vec<Span>) -> Ranges {
        spans.sort_by_key(|span| span.at);
        let sound = spans.iter().all(|span| span.at < span.end && span.end <= size)
            && spans.windows(2).all(|two| two[0].end <= two[1].at);
        if !sound {
            spans = vec![Span { at: 0, end: size }];
        }
        let spans = spans.into_iter().filter(|span| span.at < span.end);
        Ranges { size, spans: spans.map(|span| Taken { span, by: None }).collect(), next: 0 }
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn is_done(&self) -> bool {
        self.spans.is_empty()
    }

    pub fn left(&self) -> Vec<Span> {
        self.spans.iter().map(|taken| taken.span).filter(|span| span.at < span.end).collect()
    }

    pub fn have(&self) -> u64 {
        self.size - self.spans.iter().map(|taken| taken.span.length()).sum::<u64>()
    }

    /// From the start, so much is there without a gap.
    pub fn solid(&self) -> u64 {
        self.spans.iter().map(|taken| taken.span.at).min().unwrap_or(self.size)
    }

    /// The first span that nobody has; else the second half of the longest, if both halves have
    /// at least `least` bytes.
    pub fn take(&mut self, least: u64) -> Option<(Ticket, Span)> {
        let ticket = Ticket(self.next);
        self.next += 1;
        if let Some(free) = self.spans.iter_mut().find(|taken| taken.by.is_none()) {
            free.by = Some(ticket);
            return Some((ticket, free.span));
        }
        let longest = (0..self.spans.len()).max_by_key(|&n| self.spans[n].span.length())?;
        let Span { at, end } = self.spans[longest].span;
        if end - at < least.saturating_mul(2) {
            return None;
        }
        let middle = at + (end - at) / 2;
        self.spans[longest].span.end = middle;
        let span = Span { at: middle, end };
        self.spans.insert(longest + 1, Taken { span, by: Some(ticket) });
        Some((ticket, span))
    }

    /// Where a taken span ends by now. None: it is done.
    pub fn end_of(&self, ticket: Ticket) -> Option<u64> {
        self.spans.iter().find(|taken| taken.by == Some(ticket)).map(|taken| taken.span.end)
    }

    /// Everything of the span before `at` is there.
    pub fn advance(&mut self, ticket: Ticket, at: u64) {
        let Some(n) = self.spans.iter().position(|taken| taken.by == Some(ticket)) else { return };
        let span = &mut self.spans[n].span;
        span.at = at.clamp(span.at, span.end);
        if span.at == span.end {
            self.spans.remove(n);
        }
    }

    /// Somebody else may have it.
    pub fn give_back(&mut self, ticket: Ticket) {
        if let Some(taken) = self.spans.iter_mut().find(|taken| taken.by == Some(ticket)) {
            taken.by = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_once_whoever_fetches_them() {
        for (size, parts, least) in [(0, 4, 1), (1, 4, 1), (1000, 4, 10), (1000, 1, 300), (7, 9, 2)]
        {
            let mut ranges = Ranges::whole(size, parts, least);
            let mut seen = vec![0; size as usize];
            let mut hands = Vec::new();
            loop {
                while hands.len() < 3
                    && let Some((ticket, span)) = ranges.take(least)
                {
                    hands.push((ticket, span.at));
                }
                if hands.is_empty() {
                    break;
                }
                let (ticket, at) = hands.remove(0);
                let Some(end) = ranges.end_of(ticket) else { continue };
                let to = (at + 7).min(end);
                seen[at as usize..to as usize].iter_mut().for_each(|count| *count += 1);
                ranges.advance(ticket, to);
                assert!(ranges.solid() <= size && ranges.have() <= size);
                hands.push((ticket, to));
            }
            assert!(ranges.is_done() && ranges.have() == size, "{size} {parts} {least}");
            assert!(seen.iter().all(|&count| count == 1), "{size} {parts} {least}: {seen:?}");
        }
    }

    #[test]
    fn what_was_given_back_is_taken_again() {
        let mut ranges = Ranges::missing(10, vec![Span { at: 2, end: 6 }]);
        let (ticket, _) = ranges.take(100).unwrap();
        assert!(ranges.take(100).is_none());
        ranges.advance(ticket, 4);
        ranges.give_back(ticket);
        assert_eq!(ranges.left(), [Span { at: 4, end: 6 }]);
        assert_eq!((ranges.have(), ranges.solid()), (8, 4));
        assert!(ranges.take(100).is_some());
    }

    #[test]
    fn nonsense_means_everything() {
        for spans in [vec![(5, 2)], vec![(0, 11)], vec![(0, 5), (4, 6)]] {
            let spans = spans.into_iter().map(|(at, end)| Span { at, end }).collect();
            assert_eq!(Ranges::missing(10, spans).have(), 0);
        }
    }
}
