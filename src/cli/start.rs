//! `zccache start`.

use std::process::ExitCode;

use super::given::Given;
use super::{print, say, settings};
use crate::protocol::message::Request;
use crate::server::root::Root;
use crate::server::start;

/// Makes sure that a daemon runs; fine when one does already.
pub fn run(_: &Given) -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match Root::of(&settings)
        .and_then(|root| start::make_sure(&root, &Request::Status).map(|()| root))
    {
        Ok(root) => {
            print(&format!("daemon running at {}\n", root.served_at().display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("the daemon can't be started: {error}"));
            ExitCode::FAILURE
        }
    }
}
