//! Why a command is run as it is.

use crate::session::reason::Reason;
use crate::terms::Arg;

/// A command to be run as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub reason: Reason,
    /// The argument to blame.
    pub argument: Option<Arg>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal { reason, argument: None }
    }
}

impl From<(Reason, Option<Arg>)> for Refusal {
    fn from((reason, argument): (Reason, Option<Arg>)) -> Refusal {
        Refusal { reason, argument }
    }
}

/// Refused for this argument.
pub(super) fn refused(reason: Reason, argument: &[u8]) -> Refusal {
    Refusal { reason, argument: Some(argument.to_vec()) }
}
