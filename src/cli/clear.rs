//! `zccache clear`.

use std::process::ExitCode;

use super::given::Given;
use super::{human_bytes, print, say, settings};
use crate::daemon::{serve, start};
use crate::ino::Records;
use crate::protocol::message::{Cleared, Reply, Request};
use crate::server::root::Root;

/// Removes everything that was stored, through the daemon or without one.
pub fn run(given: &Given) -> ExitCode {
    let json = given.has("json");
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let cleared = match start::ask_running(&settings, &Request::Clear) {
        Ok(Some(Reply::Cleared(cleared))) => Ok(cleared),
        Ok(None) => serve::clear_offline(&settings),
        Ok(Some(_)) => Err(std::io::Error::other("the daemon gave another answer")),
        Err(error) => Err(error),
    };
    match cleared {
        Ok(mut cleared) => {
            // Converted sketches are kept without the daemon, and cleared without it.
            if let Ok(root) = Root::of(&settings) {
                let (count, bytes) = Records::of(root.path()).clear();
                cleared.artifacts += count;
                cleared.bytes += bytes;
            }
            print(&text(&cleared, json));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("clear: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn text(cleared: &Cleared, json: bool) -> String {
    let Cleared { artifacts, metadata, dep_graph, bytes } = *cleared;
    if json {
        let value = serde_json::json!({
            "artifacts": artifacts,
            "metadata": metadata,
            "dep_graph": dep_graph,
            "bytes": bytes,
        });
        return format!("{value}\n");
    }
    format!(
        "artifacts removed: {artifacts}\nmetadata entries removed: {metadata}\n\
         dep graph entries removed: {dep_graph}\ndisk freed: {}\n",
        human_bytes(bytes)
    )
}
