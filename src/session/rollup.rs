//! What the misses of many commands have in common.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::journal::{Line, Outcome};
use super::reason::{Reason, Stage};

/// Causes by how often they struck.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct RollUp {
    pub commands: u64,
    pub hits: u64,
    /// Failed compiles included.
    pub misses: u64,
    pub non_cacheable: u64,
    pub errors: u64,
    /// The most frequent first. A command with several causes counts for each.
    pub causes: Vec<Shared>,
}

/// A cause that commands have in common.
#[derive(Debug, PartialEq, Serialize)]
pub struct Shared {
    pub reason: Reason,
    /// What differed, without values; for a cause without details, the reason in words.
    pub subject: String,
    /// Commands it struck.
    pub count: u64,
    /// Out of this many: those that missed, or those that ran as they were.
    pub of: u64,
}

impl RollUp {
    pub fn add(&mut self, line: &Line) {
        self.commands += 1;
        match line.outcome {
            Outcome::Hit | Outcome::LinkHit => self.hits += 1,
            Outcome::Uncacheable => self.non_cacheable += 1,
            Outcome::Miss | Outcome::LinkMiss => self.misses += 1,
            Outcome::Error => {
                self.misses += 1;
                self.errors += 1;
            }
        }
    }

    /// Over all these lines.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a Line>) -> RollUp {
        let mut sum = RollUp::default();
        let mut counts: BTreeMap<(Reason, String), u64> = BTreeMap::new();
        for line in lines {
            sum.add(line);
            let mut subjects = BTreeSet::new();
            for cause in &line.causes {
                let words = || (cause.reason, cause.reason.words().to_owned());
                let several =
                    cause.differences.iter().map(|difference| (cause.reason, difference.subject()));
                let before = subjects.len();
                subjects.extend(several);
                if subjects.len() == before && cause.differences.is_empty() {
                    subjects.insert(words());
                }
            }
            subjects.into_iter().for_each(|subject| *counts.entry(subject).or_default() += 1);
        }
        let of = |reason: Reason| match reason.stage() {
            Stage::Missed | Stage::NotStored => sum.misses,
            Stage::Refused | Stage::FellBack => sum.non_cacheable,
        };
        let mut causes: Vec<Shared> = counts
            .into_iter()
            .map(|((reason, subject), count)| Shared { reason, subject, count, of: of(reason) })
            .collect();
        causes.sort_by_key(|shared| std::cmp::Reverse(shared.count));
        RollUp { causes, ..sum }
    }
}

impl Shared {
    /// As `why` says it.
    pub fn words(&self) -> String {
        let Shared { reason, subject, count, of } = self;
        match reason.stage() {
            Stage::Missed => format!("{count} of {of} misses: {subject}  [{reason}]"),
            Stage::NotStored => {
                format!("{count} of {of} misses were not stored: {subject}  [{reason}]")
            }
            Stage::Refused | Stage::FellBack => {
                format!("{count} of {of} that ran as they are: {subject}  [{reason}]")
            }
        }
    }
}
