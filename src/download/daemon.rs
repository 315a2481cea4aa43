//! The daemon of downloads: who asked for what, and who is told. The downloads themselves are
//! threads (`job`); this loop waits for nothing.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Token;

use super::fault::{Fault, FaultKind};
use super::job::Job;
use super::message::{Reply, Request};
use super::order::Order;
use super::status::{DownloadDaemonStatus, DownloadStatus};
use super::work::{self, Works};
use crate::protocol::frame;
use crate::server::connection::{Peer, Standing};
use crate::server::hub::{Arrived, Hub};
use crate::server::life;
use crate::server::root::Root;
use crate::settings::Settings;
use crate::sys::{detach, termination};

/// How often those who wait are told how far it is.
const TOLD: Duration = Duration::from_millis(100);
/// A download that ended can be asked about for this long.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// An idle daemon leaves after this long.
const IDLE: Duration = Duration::from_secs(3600);

/// A client's part in a download.
#[derive(Default)]
struct Follower {
    /// The download it follows, and what it was told last.
    follows: Option<(String, Option<DownloadStatus>)>,
}

impl Standing for Follower {
    fn is_expected(&self) -> bool {
        self.follows.is_some()
    }
}

struct Entry {
    job: Arc<Job>,
    /// It goes on when nobody waits for it.
    keep: bool,
}

struct Daemon {
    hub: Hub<Follower>,
    root: Root,
    works: Arc<Works>,
    jobs: HashMap<String, Entry>,
}

/// Serves until told to stop. `detached`: say so on stdout once listening, then let go of it.
pub fn serve(settings: &Settings, root: &Root, detached: bool) -> io::Result<()> {
    life::live(root, settings.log_level, detached, || {
        let signals = termination::descriptor();
        let listener = life::listen(root)?;
        let signals = signals.as_ref().map(AsRawFd::as_raw_fd);
        let idle = settings.idle_timeout.unwrap_or(IDLE);
        let hub = Hub::new(listener, root.socket(), signals, idle)?;
        let works = Arc::new(Works::of(root.path()));
        log::info!("downloading for {}", root.path().display());
        if detached {
            detach::say_ready();
        }
        Daemon { hub, root: root.clone(), works, jobs: HashMap::new() }.run();
        log::info!("ended");
        Ok(())
    })
}

impl Daemon {
    fn run(mut self) {
        let (mut arrived, mut new) = (Vec::new(), Vec::new());
        while !self.hub.is_over() {
            let due = if self.is_busy() { TOLD } else { Duration::MAX };
            let nap = if new.is_empty() { self.hub.nap(due) } else { Duration::ZERO };
            if let Err(error) = self.hub.turn(nap, &mut arrived) {
                log::error!("poll: {error}");
                break;
            }
            self.hub.make_round(&mut arrived);
            // Behind what arrived from those who were there: that somebody left is seen first.
            arrived.append(&mut new);
            self.take(&mut arrived);
            self.tell_followers();
            while let Some(silent) = self.hub.accept(&mut new) {
                self.drop_client(silent);
            }
            self.hub.poll_new(&mut new);
            if self.is_busy() {
                self.hub.last_active = Instant::now();
            }
            self.jobs.retain(|_, entry| entry.job.over_for().is_none_or(|over| over < REMEMBERED));
        }
        self.hub.remove_socket();
        for entry in self.jobs.values() {
            entry.job.cancel();
        }
        // Their threads note what is there; one that hangs must not keep us.
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.is_busy() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn take(&mut self, arrived: &mut Vec<Arrived>) {
        for what in arrived.drain(..) {
            match what {
                Arrived::Own => {}
                Arrived::Frame(token, header, payload) => {
                    if self.hub.clients.contains_key(&token) && self.hub.is_ours(token, &header) {
                        self.request(token, &payload);
                    }
                }
                Arrived::Gone(token) => self.drop_client(token),
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.jobs.values().any(|entry| !entry.job.is_over())
    }

    fn request(&mut self, token: Token, payload: &[u8]) {
        let foreign =
            self.hub.clients.get(&token).is_some_and(|client| client.peer == Peer::Foreign);
        let reply = match postcard::from_bytes(payload) {
            Ok(Request::Fetch { .. }) if foreign => {
                let text = "the daemon sees other files than this process (a container?): \
                            set ZCCACHE_DOWNLOAD_ENDPOINT to a socket of its own";
                Reply::Refused(Fault::new(FaultKind::Daemon, text))
            }
            Ok(Request::Fetch { order, keep }) => match self.fetch(*order, keep) {
                Ok(id) => return self.follow(token, id),
                Err(fault) => Reply::Refused(fault),
            },
            Ok(Request::Attach(id)) if self.jobs.contains_key(&id) => {
                return self.follow(token, id);
            }
            Ok(Request::Attach(id) | Request::Status(id)) => self.status(&id),
            Ok(Request::Cancel(id)) => {
                if let Some(entry) = self.jobs.get(&id) {
                    entry.job.cancel();
                }
                self.status(&id)
            }
            Ok(Request::DaemonStatus) => Reply::Daemon(Box::new(self.told())),
            Ok(Request::Stop) => {
                self.reply(token, &Reply::Done);
                return self.hub.leave();
            }
            Err(error) => {
                log::warn!("a message of our own build does not decode: {error}");
                return self.drop_client(token);
            }
        };
        self.reply(token, &reply);
    }

    /// Joins the download, or begins it. Gives its name.
    fn fetch(&mut self, order: Order, keep: bool) -> Result<String, Fault> {
        let id = order.id();
        if let Some(entry) = self.jobs.get_mut(&id)
            && !entry.job.is_over()
            && !entry.job.is_cancelled()
        {
            if !entry.job.order.is_same(&order) {
                let text = format!(
                    "{}: the same is being downloaded with another sha256 or place to unpack",
                    order.target.display()
                );
                return Err(Fault::new(FaultKind::Busy, text));
            }
            entry.keep |= keep;
            return Ok(id);
        }
        let twin = self.jobs.values().find(|entry| {
            let theirs = &entry.job.order;
            !order.force
                && theirs.is_twin(&order)
                && theirs.target != order.target
                && !entry.job.is_over()
        });
        let twin = twin.map(|entry| entry.job.clone());
        let job = Arc::new(Job::new(order));
        let (works, own, waker) = (self.works.clone(), job.clone(), self.hub.waker.clone());
        let run = move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                work::run(&own, &works, twin)
            }));
            if result.is_err() {
                own.broke();
            }
            if let Err(error) = waker.wake() {
                log::warn!("wake: {error}");
            }
        };
        std::thread::Builder::new().name("download".to_owned()).spawn(run).map_err(|error| {
            Fault::new(FaultKind::Other, format!("the download can't be started: {error}"))
        })?;
        self.jobs.insert(id.clone(), Entry { job, keep });
        Ok(id)
    }

    /// From now on the client is told how far it is.
    fn follow(&mut self, token: Token, id: String) {
        if let Some(client) = self.hub.clients.get_mut(&token) {
            client.standing.follows = Some((id, None));
        }
        self.tell_followers();
    }

    fn tell_followers(&mut self) {
        let counts = self.followers();
        let mut told = Vec::new();
        for (token, client) in &mut self.hub.clients {
            let is_flushed = client.is_flushed();
            let Some((id, last)) = &mut client.standing.follows else { continue };
            let Some(entry) = self.jobs.get(id) else { continue };
            // Who does not read gets the next one that it has room for.
            if !is_flushed && !entry.job.is_over() {
                continue;
            }
            let mut status = entry.job.status();
            status.clients = counts.get(id).copied().unwrap_or(0);
            if last.as_ref() == Some(&status) {
                continue;
            }
            if status.phase.is_over() {
                client.standing.follows = None;
            } else {
                *last = Some(status.clone());
            }
            told.push((*token, status));
        }
        for (token, status) in told {
            self.reply(token, &Reply::Status(Box::new(status)));
        }
    }

    /// How many follow each download.
    fn followers(&self) -> HashMap<String, u32> {
        let mut counts = HashMap::new();
        for client in self.hub.clients.values() {
            if let Some((id, _)) = &client.standing.follows {
                *counts.entry(id.clone()).or_default() += 1;
            }
        }
        counts
    }

    fn status(&self, id: &str) -> Reply {
        match self.jobs.get(id) {
            Some(entry) => {
                let mut status = entry.job.status();
                status.clients = self.followers().get(id).copied().unwrap_or(0);
                Reply::Status(Box::new(status))
            }
            None => {
                let text = format!("{id}: there is no such download");
                Reply::Refused(Fault::new(FaultKind::Other, text))
            }
        }
    }

    fn told(&self) -> DownloadDaemonStatus {
        let counts = self.followers();
        let mut downloads: Vec<DownloadStatus> =
            self.jobs.values().map(|entry| entry.job.status()).collect();
        for status in &mut downloads {
            status.clients = counts.get(&status.download_id).copied().unwrap_or(0);
        }
        downloads.sort_by(|one, other| one.destination.cmp(&other.destination));
        DownloadDaemonStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            socket: self.root.socket().to_owned(),
            uptime_s: self.hub.started.elapsed().as_secs(),
            downloads,
        }
    }

    fn reply(&mut self, token: Token, reply: &Reply) {
        let sent = match frame::message(reply) {
            Ok(frame) => self.hub.send(token, &frame),
            Err(error) => {
                log::warn!("a reply can't be sent: {error}");
                false
            }
        };
        if !sent {
            self.drop_client(token);
        }
    }

    /// The last who waits for a download takes it along.
    fn drop_client(&mut self, token: Token) {
        let Some(Follower { follows: Some((id, _)) }) = self.hub.remove(token) else { return };
        let alone = !self.followers().contains_key(&id);
        if let Some(entry) = self.jobs.get(&id)
            && alone
            && !entry.keep
        {
            entry.job.cancel();
        }
    }
}
