//! The library's way in: ask the daemon of downloads, starting it where there is none.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::fault::{Fault, FaultKind};
use super::message::{Reply, Request};
use super::order::{Effort, Order, Sha256, Source, Surroundings};
use super::part;
use super::seal::{Found, Seals};
use super::status::{DownloadDaemonStatus, DownloadStatus, FetchStatus, Phase};
use super::unpack;
use super::unpack::format::ArchiveFormat;
use crate::protocol::frame::{self, Build, Verb};
use crate::server::root::Root;
use crate::server::start;
use crate::settings::Settings;

/// How long the daemon may take for an answer that it has ready.
const PATIENCE: Duration = Duration::from_secs(10);

/// Downloads through the daemon of this cache root, which everybody on the machine shares.
///
/// ```no_run
/// use std::path::PathBuf;
/// use zccache::download::{DownloadClient, FetchRequest, Sha256};
///
/// # fn main() -> Result<(), zccache::download::Fault> {
/// let client = DownloadClient::new(None);
/// client.start_daemon()?;
///
/// let mut request = FetchRequest::new(
///     "https://example.com/toolchain.tar.zst",
///     PathBuf::from(".cache/downloads/toolchain.tar.zst"),
/// );
/// request.destination_path_expanded = Some(PathBuf::from(".cache/toolchain"));
/// request.expected_sha256 = Some(Sha256::parse(
///     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
/// )?);
/// request.multipart_parts = Some(8);
///
/// let result = client.fetch(request)?;
/// println!("{:?} {} {}", result.status, result.sha256.unwrap(), result.cache_path.display());
/// # Ok(())
/// # }
/// ```
///
/// A handle gives more control; when it is dropped and nobody else waits, the download is
/// cancelled, and the next one goes on with what is there:
///
/// ```no_run
/// use std::path::Path;
/// use zccache::download::{DownloadClient, DownloadOptions};
///
/// # fn main() -> Result<(), zccache::download::Fault> {
/// let client = DownloadClient::new(None);
/// let options = DownloadOptions { max_connections: Some(8), ..DownloadOptions::default() };
/// let mut handle =
///     client.download("https://example.com/big.iso", Path::new("big.iso"), options)?;
/// let status = handle.wait(Some(1_000))?;
/// println!("{:?} {}", status.phase, status.downloaded_bytes);
/// if !status.phase.is_over() {
///     handle.cancel()?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct DownloadClient {
    endpoint: Option<PathBuf>,
    program: Option<PathBuf>,
}

/// Whether `fetch` waits for the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMode {
    #[default]
    Block,
    /// The download goes on by itself; `attach` and `status` find it by its `download_id`.
    NoWait,
}

/// What to fetch.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// None: `part_urls` in a row are the file.
    pub source_url: Option<String>,
    /// Beside `source_url`: its mirrors. Alone: the parts of a file that was cut, in order.
    pub part_urls: Vec<String>,
    /// Where the file goes; relative to the working folder. None: to a place in the cache root that is
    /// the same for the same source.
    pub destination_path: Option<PathBuf>,
    /// Where to unpack it. None: nowhere.
    pub destination_path_expanded: Option<PathBuf>,
    pub archive_format: ArchiveFormat,
    pub expected_sha256: Option<Sha256>,
    /// Ranges fetched side by side. None: as many as connections.
    pub multipart_parts: Option<u32>,
    /// Connections at a time, up to 32. None: 4.
    pub max_connections: Option<u32>,
    /// No range is cut smaller than this many bytes. None: 8 MiB.
    pub min_segment_size: Option<u64>,
    pub wait_mode: WaitMode,
    /// Only say what would happen; nothing is asked of any server.
    pub dry_run: bool,
    /// Fetch even what is there.
    pub force: bool,
}

impl FetchRequest {
    /// One file to one place.
    pub fn new(url: impl Into<String>, destination: impl Into<PathBuf>) -> FetchRequest {
        FetchRequest { destination_path: Some(destination.into()), ..FetchRequest::to_cache(url) }
    }

    /// One file to its place in the cache root.
    pub fn to_cache(url: impl Into<String>) -> FetchRequest {
        FetchRequest {
            source_url: Some(url.into()),
            part_urls: Vec::new(),
            destination_path: None,
            destination_path_expanded: None,
            archive_format: ArchiveFormat::Auto,
            expected_sha256: None,
            multipart_parts: None,
            max_connections: None,
            min_segment_size: None,
            wait_mode: WaitMode::Block,
            dry_run: false,
            force: false,
        }
    }
}

/// How `download` fetches.
#[derive(Clone, Copy, Debug, Default)]
pub struct DownloadOptions {
    /// Fetch even what is there.
    pub force: bool,
    /// As in [`FetchRequest`].
    pub max_connections: Option<u32>,
    /// As in [`FetchRequest`].
    pub min_segment_size: Option<u64>,
}

/// What a fetch came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchResult {
    pub status: FetchStatus,
    pub download_id: String,
    /// Where the file is, or will be.
    pub cache_path: PathBuf,
    /// None: it is not there yet.
    pub sha256: Option<Sha256>,
    /// In bytes. None: it is not there yet.
    pub size: Option<u64>,
    pub expanded_path: Option<PathBuf>,
    /// What is doubtful about it, in words.
    pub note: Option<String>,
}

/// What is there of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FetchStateKind {
    /// All of it: the file, and the unpacked folder where one was asked for.
    Present,
    /// The file, but not what it unpacks to.
    NotExpanded,
    /// Some of the file, to go on with.
    Partial,
    Absent,
}

/// What is there of a request, and why not more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FetchState {
    pub kind: FetchStateKind,
    pub reason: Option<String>,
    pub cache_path: PathBuf,
    pub sha256: Option<Sha256>,
    /// In bytes.
    pub size: Option<u64>,
    pub expanded_path: Option<PathBuf>,
}

impl DownloadClient {
    /// `endpoint`: the daemon's socket; None: that of `ZCCACHE_DOWNLOAD_ENDPOINT` or the cache root.
    pub fn new(endpoint: Option<PathBuf>) -> DownloadClient {
        DownloadClient { endpoint, program: None }
    }

    /// The `zccache` program that has the daemon in it. Without this it is the running
    /// program, where that is zccache, else the one on `PATH`.
    pub fn with_program(self, program: PathBuf) -> DownloadClient {
        DownloadClient { program: Some(program), ..self }
    }

    /// Makes sure that the daemon runs.
    pub fn start_daemon(&self) -> Result<(), Fault> {
        start::connect(&self.root()?, start::soon()).map(drop).map_err(unreachable_daemon)
    }

    /// Ends the daemon; downloads under way can be gone on with. False: none ran.
    pub fn stop_daemon(&self) -> Result<bool, Fault> {
        start::stop(&self.root()?, &Request::Stop).map_err(unreachable_daemon)
    }

    /// What the daemon is doing. None: none runs.
    pub fn daemon_status(&self) -> Result<Option<DownloadDaemonStatus>, Fault> {
        let reply = start::ask_running(&self.root()?, &Request::DaemonStatus, PATIENCE);
        match reply.map_err(unreachable_daemon)? {
            Some(Reply::Daemon(status)) => Ok(Some(*status)),
            Some(other) => Err(unexpected(other)),
            None => Ok(None),
        }
    }

    /// The socket that the daemon listens at.
    pub fn socket(&self) -> Result<PathBuf, Fault> {
        Ok(self.root()?.socket().to_owned())
    }

    /// Fetches, verifies, and unpacks where that was asked for.
    pub fn fetch(&self, request: FetchRequest) -> Result<FetchResult, Fault> {
        self.fetch_with(request, &mut |_| {})
    }

    /// The same; `progress` is told how far it is, some ten times a second at most.
    pub fn fetch_with(
        &self,
        request: FetchRequest,
        progress: &mut dyn FnMut(&DownloadStatus),
    ) -> Result<FetchResult, Fault> {
        let root = self.root()?;
        let order = order(&request, &root)?;
        if request.dry_run {
            return Ok(rehearse(&order, &root));
        }
        let keep = request.wait_mode == WaitMode::NoWait;
        let mut handle = self.begin(&root, order, keep)?;
        let status = if keep { handle.status.clone() } else { handle.wait_with(None, progress)? };
        if let Some(fault) = status.error {
            return Err(fault);
        }
        Ok(FetchResult {
            status: status.outcome.unwrap_or(FetchStatus::Started),
            download_id: status.download_id,
            cache_path: status.destination,
            size: status.outcome.map(|_| status.downloaded_bytes),
            sha256: status.sha256,
            expanded_path: status.expanded_path,
            note: status.note,
        })
    }

    /// What is there already. Asks no server and needs no daemon; reads the file only where its
    /// stat does not vouch for it.
    pub fn exists(&self, request: &FetchRequest) -> Result<FetchState, Fault> {
        let root = self.root()?;
        Ok(state(&order(request, &root)?, &root))
    }

    /// Begins a download, or joins the same one.
    pub fn download(
        &self,
        url: &str,
        destination: &Path,
        options: DownloadOptions,
    ) -> Result<DownloadHandle, Fault> {
        let mut request = FetchRequest::new(url, destination);
        request.force = options.force;
        request.max_connections = options.max_connections;
        request.min_segment_size = options.min_segment_size;
        let root = self.root()?;
        self.begin(&root, order(&request, &root)?, false)
    }

    /// Begins a download that goes on when nobody waits for it.
    pub fn download_detached(&self, request: &FetchRequest) -> Result<DownloadHandle, Fault> {
        let root = self.root()?;
        self.begin(&root, order(request, &root)?, true)
    }

    /// Joins a download by its name.
    pub fn attach(&self, download_id: &str) -> Result<DownloadHandle, Fault> {
        let stream = self.running()?;
        DownloadHandle::open(self.clone(), stream, &Request::Attach(download_id.to_owned()))
    }

    /// How far a download is, or how it ended within the last hour.
    pub fn status(&self, download_id: &str) -> Result<DownloadStatus, Fault> {
        self.ask(&Request::Status(download_id.to_owned()))
    }

    /// Ends a download for everybody. What is there can be gone on with.
    pub fn cancel(&self, download_id: &str) -> Result<DownloadStatus, Fault> {
        self.ask(&Request::Cancel(download_id.to_owned()))
    }

    fn ask(&self, request: &Request) -> Result<DownloadStatus, Fault> {
        let reply = start::ask_running(&self.root()?, request, PATIENCE);
        match reply.map_err(unreachable_daemon)? {
            Some(Reply::Status(status)) => Ok(*status),
            Some(other) => Err(unexpected(other)),
            None => Err(Fault::new(FaultKind::Daemon, "no daemon runs: there are no downloads")),
        }
    }

    fn running(&self) -> Result<UnixStream, Fault> {
        self.root()?.connect(start::soon()).map_err(|error| match start::nobody_listens(&error) {
            true => Fault::new(FaultKind::Daemon, "no daemon runs: there are no downloads"),
            false => unreachable_daemon(error),
        })
    }

    /// Sends the order, to a daemon of our own build.
    fn begin(&self, root: &Root, order: Order, keep: bool) -> Result<DownloadHandle, Fault> {
        let request = Request::Fetch { order: Box::new(order), keep };
        let stream = start::connect(root, start::soon()).map_err(unreachable_daemon)?;
        match DownloadHandle::open(self.clone(), stream, &request) {
            Err(Fault { kind: FaultKind::Daemon, text }) if text == OTHER_BUILD => {
                let stream = start::replace(root, start::soon()).map_err(unreachable_daemon)?;
                DownloadHandle::open(self.clone(), stream, &request)
            }
            opened => opened,
        }
    }

    fn root(&self) -> Result<Root, Fault> {
        let (settings, _) = Settings::from_process()
            .map_err(|bad| Fault::new(FaultKind::Other, bad.to_string()))?;
        let endpoint = self.endpoint.as_ref().map(std::path::absolute).transpose();
        let root = endpoint
            .and_then(|endpoint| Root::of_downloads(&settings, endpoint.as_deref()))
            .map_err(|error| Fault::new(FaultKind::Other, error.to_string()))?;
        Ok(match self.program.clone().or_else(other_program) {
            Some(program) => root.served_by(program),
            None => root,
        })
    }
}

/// Where the daemon is, when it is not in this program.
fn other_program() -> Option<PathBuf> {
    let own = std::fs::read_link("/proc/self/exe").ok()?;
    if own.file_name()?.as_encoded_bytes().starts_with(b"zccache") {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("zccache")).find(|file| file.is_file())
}

/// A download that we wait for. Dropped before its end, and nobody else waits: cancelled.
pub struct DownloadHandle {
    client: DownloadClient,
    stream: UnixStream,
    status: DownloadStatus,
}

const OTHER_BUILD: &str = "the running daemon is of another build: stop it first";

impl DownloadHandle {
    fn open(
        client: DownloadClient,
        mut stream: UnixStream,
        request: &Request,
    ) -> Result<DownloadHandle, Fault> {
        let mut sent = || -> io::Result<Reply> {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(&frame::question(request)?)?;
            receive(&mut stream)
        };
        match sent().map_err(unreachable_daemon)? {
            Reply::Status(status) => Ok(DownloadHandle { client, stream, status: *status }),
            other => Err(unexpected(other)),
        }
    }

    /// Its name, for other processes to `attach`.
    pub fn download_id(&self) -> &str {
        &self.status.download_id
    }

    /// How far it is now.
    pub fn status(&mut self) -> Result<&DownloadStatus, Fault> {
        if !self.status.phase.is_over() {
            self.status = self.client.status(&self.status.download_id)?;
        }
        Ok(&self.status)
    }

    /// Waits for its end, or so many milliseconds; gives how far it is then. A download that
    /// failed is no error here: see the status.
    pub fn wait(&mut self, timeout_ms: Option<u64>) -> Result<DownloadStatus, Fault> {
        self.wait_with(timeout_ms.map(Duration::from_millis), &mut |_| {})
    }

    /// The same; `progress` is told how far it is.
    pub fn wait_with(
        &mut self,
        timeout: Option<Duration>,
        progress: &mut dyn FnMut(&DownloadStatus),
    ) -> Result<DownloadStatus, Fault> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            progress(&self.status);
            if self.status.phase.is_over() || !self.next(deadline)? {
                return Ok(self.status.clone());
            }
        }
    }

    /// Ends it for everybody who waits for it.
    pub fn cancel(&mut self) -> Result<(), Fault> {
        if !self.status.phase.is_over() {
            self.client.cancel(&self.status.download_id)?;
        }
        Ok(())
    }

    /// Waits for news. False: there were none until then.
    fn next(&mut self, deadline: Option<Instant>) -> Result<bool, Fault> {
        // A daemon has nothing to say while a server is silent, so without a deadline there is no
        // end to this but the daemon's own.
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Ok(false);
        }
        if !self.is_readable(left).map_err(unreachable_daemon)? {
            return Ok(false);
        }
        match receive(&mut self.stream) {
            Ok(Reply::Status(status)) => self.status = *status,
            Ok(other) => return Err(unexpected(other)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let text = "the daemon has ended; asking again goes on with the download";
                return Err(Fault::new(FaultKind::Daemon, text));
            }
            Err(error) => return Err(unreachable_daemon(error)),
        }
        Ok(true)
    }

    /// Whether a reply begins to arrive within this time: a frame is never read in half.
    fn is_readable(&self, within: Option<Duration>) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let deadline = within.map(|within| Instant::now() + within);
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.map(|left| Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: left.subsec_nanos().into(),
            });
            let mut fds = [PollFd::new(&self.stream, PollFlags::IN)];
            match poll(&mut fds, left.as_ref()) {
                Ok(count) => return Ok(count > 0),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn receive(stream: &mut UnixStream) -> io::Result<Reply> {
    let (header, payload) = frame::read(stream)?;
    if header.verb != Verb::Message || header.build != Build::own() {
        return Err(io::Error::other(OTHER_BUILD));
    }
    start::decode(&header, &payload)
}

fn unreachable_daemon(error: io::Error) -> Fault {
    let text = error.to_string();
    let text = if text == OTHER_BUILD { text } else { format!("the download daemon: {text}") };
    Fault::new(FaultKind::Daemon, text)
}

fn unexpected(reply: Reply) -> Fault {
    match reply {
        Reply::Refused(fault) => fault,
        _ => Fault::new(FaultKind::Daemon, "the daemon answers what was not asked"),
    }
}

/// The request with everything made definite.
fn order(request: &FetchRequest, root: &Root) -> Result<Order, Fault> {
    let source = Source::of(request.source_url.as_deref(), &request.part_urls)?;
    let absolute = |path: &Path| {
        std::path::absolute(path).map_err(|error| Fault::target("can't write", path, &error))
    };
    let target = match &request.destination_path {
        Some(path) => absolute(path)?,
        None => source.cache_path(root.path()),
    };
    let expand = match &request.destination_path_expanded {
        Some(path) => Some((absolute(path)?, request.archive_format)),
        None => None,
    };
    Ok(Order {
        source,
        target,
        expand,
        sha256: request.expected_sha256,
        effort: Effort::new(
            request.multipart_parts,
            request.max_connections,
            request.min_segment_size,
        ),
        force: request.force,
        surroundings: Surroundings::own(),
    })
}

fn rehearse(order: &Order, root: &Root) -> FetchResult {
    let state = state(order, root);
    let is_there = state.kind == FetchStateKind::Present && !order.force;
    FetchResult {
        status: if is_there { FetchStatus::AlreadyPresent } else { FetchStatus::WouldDownload },
        download_id: order.id(),
        cache_path: state.cache_path,
        sha256: state.sha256,
        size: state.size,
        expanded_path: order.expand.as_ref().map(|(folder, _)| folder.clone()),
        note: state.reason,
    }
}

fn state(order: &Order, root: &Root) -> FetchState {
    let mut state = FetchState {
        kind: FetchStateKind::Absent,
        reason: None,
        cache_path: order.target.clone(),
        sha256: None,
        size: None,
        expanded_path: None,
    };
    match Seals::of(root.path()).find(&order.target, &order.source, order.sha256) {
        Found::Present { file, seal } => {
            state.kind = FetchStateKind::Present;
            state.sha256 = Some(seal.sha256);
            state.size = file.metadata().ok().map(|meta| meta.len());
            if let Some((folder, format)) = &order.expand {
                if unpack::is_unpacked(folder, seal.sha256, *format) {
                    state.expanded_path = Some(folder.clone());
                } else {
                    state.kind = FetchStateKind::NotExpanded;
                    state.reason = Some(format!("{} is not unpacked from it", folder.display()));
                }
            }
        }
        Found::Absent(reason) if part::is_begun(order) => {
            state.kind = FetchStateKind::Partial;
            state.reason = Some(format!("{reason}; some of it is there to go on with"));
        }
        Found::Absent(reason) => state.reason = Some(reason.to_owned()),
    }
    state
}

impl DownloadStatus {
    /// The error of a download that is over without success.
    pub fn fault(&self) -> Option<Fault> {
        match self.phase {
            Phase::Failed | Phase::Cancelled => {
                Some(self.error.clone().unwrap_or_else(Fault::cancelled))
            }
            _ => None,
        }
    }
}
