//! What the journal tells of a command that was understood. Made once for each request that
//! is not remembered; a remembered hit shares it.

use serde::{Deserialize, Serialize};

use super::shared::LiveResult;
use crate::session::kind::Kind;
use crate::store::record::Origin;
use crate::terms::key::ResultKey;
use crate::tools::find::absolute;
use crate::tools::understood::Understood;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) kind: Kind,
    /// The tool's file, absolute.
    pub(super) program: Vec<u8>,
    /// One for each unit, absolute.
    pub(super) sources: Vec<Vec<u8>>,
    /// The main output of each unit, absolute.
    pub(super) outputs: Vec<Vec<u8>>,
    /// Variables that the result depends on, beside those that matter to all.
    pub(super) variables: Vec<Vec<u8>>,
    /// Size of all outputs that came from the store or went into it.
    pub(super) bytes: u64,
    /// The result of the first unit.
    pub(super) key: Option<ResultKey>,
    /// The checkout's root, where results are shared between checkouts; else empty.
    pub(super) root: Vec<u8>,
    /// Something was made in another checkout.
    pub(super) is_from_elsewhere: bool,
    /// The first exit status of a result that is not 0.
    pub(super) status: i32,
}

impl About {
    pub(super) fn of(understood: &Understood) -> About {
        let units = 0..understood.units.len();
        About {
            kind: understood.kind,
            program: understood.program.clone(),
            sources: units.clone().map(|unit| source(understood, unit)).collect(),
            outputs: units.map(|unit| main_output(understood, unit)).collect(),
            root: root(understood).to_vec(),
            ..About::default()
        }
    }

    /// Adds a result that served it.
    pub(super) fn served(&mut self, key: ResultKey, result: &LiveResult) {
        self.bytes += result.record.bytes;
        self.key.get_or_insert(key);
        if self.status == 0 {
            self.status = result.record.status;
        }
        self.is_from_elsewhere |= result.record.origin.root != self.root;
    }
}

/// The root of the checkout, if what it makes is shared; else empty.
pub(super) fn root(understood: &Understood) -> &[u8] {
    understood.sharing.worktree().map_or(b"", |tree| tree.root())
}

/// A unit's source, absolute.
pub(super) fn source(understood: &Understood, unit: usize) -> Vec<u8> {
    absolute(&understood.cwd, understood.meaning.source(unit))
}

/// A unit's main output, absolute; empty where there is none.
pub(super) fn main_output(understood: &Understood, unit: usize) -> Vec<u8> {
    let main = understood.meaning.outputs(unit).first();
    main.map_or(Vec::new(), |output| absolute(&understood.cwd, &output.path))
}

/// Where a unit's result comes from.
pub(super) fn origin(understood: &Understood, unit: usize) -> Origin {
    Origin {
        kind: understood.kind,
        program: understood.program.clone(),
        source: source(understood, unit),
        output: main_output(understood, unit),
        root: root(understood).to_vec(),
    }
}
