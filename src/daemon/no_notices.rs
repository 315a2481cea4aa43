//! Where no wrapper can look at a board (`sys::quick`), there is none.

use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use super::event_loop::EventLoop;
use super::memo::RequestKey;
use super::shared::Shared;
use crate::protocol::message::Invocation;

/// There is no value of it.
pub(super) enum Notices {}

impl Notices {
    pub(super) fn new(_: &Shared, _: &Path) -> Option<Notices> {
        None
    }

    pub(super) fn wake(&self) -> RawFd {
        match *self {}
    }

    pub(super) fn nap(&mut self, _: Duration) -> Duration {
        match *self {}
    }
}

impl EventLoop {
    pub(super) fn put_up(&mut self, _: RequestKey, _: &Invocation, _: &Invocation) {}

    pub(super) fn taken_down(&mut self, _: Vec<u64>) {}

    pub(super) fn hear_tellings(&mut self) {}

    pub(super) fn clear_board(&mut self) {}

    pub(super) fn close_board(&mut self) {}
}
