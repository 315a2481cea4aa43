//! A cache root on disk: whose it is, and where a daemon of it has its socket and locks.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::place::{self, about};
use crate::settings::Settings;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};

/// What tells the kinds of daemons of one root apart.
#[derive(Debug)]
pub struct Service {
    /// Held by the daemon as long as it lives.
    lock: &'static str,
    /// Held by whoever starts one.
    start_lock: &'static str,
    log: &'static str,
    /// What our program is called as to start one in the background, and its first words.
    start: (&'static str, &'static [&'static str]),
    /// The same, to be one.
    serve: (&'static str, &'static [&'static str]),
}

/// The daemon that knows what compiles come to.
pub static COMPILES: Service = Service {
    lock: "daemon.lock",
    start_lock: "start.lock",
    log: "logs/daemon.log",
    start: ("zccache", &["daemon"]),
    serve: ("zccache", &["daemon", "--foreground", "--detached"]),
};

/// The daemon that downloads.
pub static DOWNLOADS: Service = Service {
    lock: "download.lock",
    start_lock: "download-start.lock",
    log: "logs/download.log",
    start: ("zccache-download", &["daemon", "start"]),
    serve: ("zccache-download", &["daemon", "serve", "--foreground", "--detached"]),
};

/// A cache root and one daemon of it.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    socket: PathBuf,
    /// The socket was named by the user: whoever is started has to be told.
    endpoint: Option<PathBuf>,
    service: &'static Service,
    /// The program that has the daemon in it.
    program: PathBuf,
}

impl Root {
    /// Fails when there is no place for a cache (no HOME, nothing set).
    pub fn of(settings: &Settings) -> io::Result<Root> {
        let socket = settings.socket_path();
        Root::with(&COMPILES, settings, socket.as_deref(), settings.endpoint.as_deref())
    }

    /// The same for downloads. `endpoint`: another socket than that of settings and root.
    pub fn of_downloads(settings: &Settings, endpoint: Option<&Path>) -> io::Result<Root> {
        let endpoint = endpoint.map(|path| path.as_os_str().as_bytes());
        let endpoint = endpoint.or(settings.download_endpoint.as_deref());
        let own = settings.cache_root.as_ref().map(|root| [root, &b"/download.sock"[..]].concat());
        Root::with(&DOWNLOADS, settings, endpoint.or(own.as_deref()), endpoint)
    }

    fn with(
        service: &'static Service,
        settings: &Settings,
        socket: Option<&[u8]>,
        endpoint: Option<&[u8]>,
    ) -> io::Result<Root> {
        let (Some(path), Some(socket)) = (&settings.cache_root, socket) else {
            let is_given = std::env::var_os("ZCCACHE_CACHE_DIR").is_some_and(|it| !it.is_empty());
            return Err(io::Error::other(match is_given {
                true => "ZCCACHE_CACHE_DIR is relative, and the working folder is gone",
                false => "no cache folder: set ZCCACHE_CACHE_DIR or HOME",
            }));
        };
        let path_of = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        Ok(Root {
            path: path_of(path),
            socket: path_of(socket),
            endpoint: endpoint.map(path_of),
            service,
            program: PathBuf::from("/proc/self/exe"),
        })
    }

    /// The same, with its daemon in another program than this one.
    pub fn served_by(self, program: PathBuf) -> Root {
        Root { program, ..self }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The daemon's own lock.
    pub fn lock(&self) -> io::Result<File> {
        open_lock(&self.lock_path())
    }

    pub fn lock_path(&self) -> PathBuf {
        self.file(self.service.lock)
    }

    /// The lock of whoever starts a daemon.
    pub fn start_lock(&self) -> io::Result<File> {
        open_lock(&self.file(self.service.start_lock))
    }

    pub fn log(&self) -> PathBuf {
        self.file(self.service.log)
    }

    /// A command that starts a daemon and returns once that listens.
    pub fn starter(&self) -> Command {
        let mut command = self.own_program(self.service.start);
        if let Some(endpoint) = &self.endpoint {
            command.arg("--endpoint").arg(endpoint);
        }
        command
    }

    /// A command that becomes the daemon; more arguments may follow.
    pub fn server(&self) -> Command {
        self.own_program(self.service.serve)
    }

    /// This very program, under a name of its own: what it is called decides what it is.
    fn own_program(&self, (name, words): (&str, &[&str])) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.program);
        command.arg0(name).args(words);
        command
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the cache folder, for us alone. Refused where it can't be trusted.
    pub fn make(&self) -> io::Result<()> {
        let path = self.path();
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| about(parent, error))?;
        }
        let made = make_private(path)?;
        let open = !made && place::claim(path)? == place::Claim::Kept;
        for name in ["artifacts", "tmp", "logs", "crashes"] {
            let folder = self.file(name);
            if !make_private(&folder)? && open {
                place::check_part(&folder)?;
            }
        }
        Ok(())
    }

    /// Fails where the socket's place is taken by what is no socket: that is never removed.
    pub fn check_socket(&self) -> io::Result<()> {
        let kind = match std::fs::symlink_metadata(self.socket()) {
            Ok(meta) => meta.file_type(),
            // Nothing is there, or whoever binds it will hear of it.
            Err(_) => return Ok(()),
        };
        if kind.is_socket() {
            return Ok(());
        }
        let what = match (kind.is_dir(), kind.is_symlink()) {
            (true, _) => "a folder",
            (_, true) => "a symlink",
            _ => "a file",
        };
        let advice = match self.endpoint {
            Some(_) => "name another endpoint",
            None => "move it away",
        };
        let text = format!("{} is {what} and no socket: {advice}", self.socket().display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
    }

    /// Who holds the daemon's lock now, as it says itself.
    pub fn holder(&self) -> Option<Holder> {
        let file = File::open(self.lock_path()).ok()?;
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return None;
        }
        let text = std::fs::read(self.lock_path()).ok()?;
        Holder::parse(&text)
    }

    /// Connects to a daemon of this root that was started with another socket; gives that, too.
    fn elsewhere(&self) -> Option<(UnixStream, PathBuf)> {
        let Holder { pid, socket } = self.holder().filter(|holder| holder.socket != self.socket)?;
        let there = Root { socket, ..self.clone() };
        let stream = there.connect(Instant::now()).ok()?;
        // The socket may be another's by now, who serves another root.
        (peer_pid(&stream) == Some(pid)).then_some((stream, there.socket))
    }

    /// Connects to the daemon that serves this root, wherever it listens.
    pub fn reach(&self, deadline: Instant) -> io::Result<UnixStream> {
        match self.connect(deadline) {
            Err(error) if nobody_listens(&error) => {
                self.elsewhere().map(|(stream, _)| stream).ok_or(error)
            }
            connected => connected,
        }
    }

    /// The socket of the daemon that serves this root; where none does, the one that the next would have.
    pub fn served_at(&self) -> PathBuf {
        match self.connect(Instant::now()) {
            Ok(_) => self.socket.clone(),
            Err(_) => self.elsewhere().map_or(self.socket.clone(), |(_, socket)| socket),
        }
    }

    /// Connects to whoever listens, if that is us: another user's daemon would tell us what to run.
    /// Waits until the deadline while the daemon's queue is full.
    pub fn connect(&self, deadline: Instant) -> io::Result<UnixStream> {
        let stream = self.with_address(|address| {
            let address = SocketAddrUnix::new(address)?;
            loop {
                // A blocking one would wait for ever for a daemon that is stuck.
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                match rustix::net::connect(&socket, &address) {
                    Ok(()) => return Ok(UnixStream::from(socket)),
                    Err(Errno::AGAIN) if Instant::now() < deadline => {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(about(self.socket(), error.into())),
                }
            }
        })?;
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        if peer.uid != rustix::process::geteuid() {
            let message = format!("{} belongs to another user", self.socket().display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Hands over a path of the socket that fits into a socket address.
    pub fn with_address<T>(&self, then: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        const ADDRESS_BYTES_MAX: usize = 107;
        let socket = self.socket();
        if socket.as_os_str().len() <= ADDRESS_BYTES_MAX {
            return then(socket);
        }
        // The folder by descriptor: short, and the same file.
        let name = socket.file_name().unwrap_or_default();
        let folder = File::open(socket.parent().unwrap_or(Path::new("/")))?;
        use std::os::fd::AsRawFd;
        let mut short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        short.push(name);
        then(&short)
    }
}

/// A daemon, as its lock file tells of it.
#[derive(Debug, PartialEq)]
pub struct Holder {
    pub pid: u32,
    pub socket: PathBuf,
}

impl Holder {
    /// What a daemon of this root writes into its lock file.
    pub fn note(root: &Root) -> Vec<u8> {
        let pid = format!("{}\n", std::process::id());
        [pid.as_bytes(), root.socket().as_os_str().as_bytes(), b"\n"].concat()
    }

    fn parse(text: &[u8]) -> Option<Holder> {
        let at = text.iter().position(|byte| *byte == b'\n')?;
        let pid = std::str::from_utf8(&text[..at]).ok()?.parse().ok()?;
        let socket = text[at + 1..].strip_suffix(b"\n")?;
        Some(Holder { pid, socket: std::ffi::OsStr::from_bytes(socket).into() })
    }
}

/// The error that says that there is no daemon.
pub fn nobody_listens(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | ConnectionRefused)
}

/// The process at the other end.
pub fn peer_pid(stream: &UnixStream) -> Option<u32> {
    let peer = rustix::net::sockopt::socket_peercred(stream).ok()?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

/// Makes a folder that nobody else may enter. False: something is there already.
fn make_private(path: &Path) -> io::Result<bool> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(about(path, error)),
    }
}

/// Opens a lock file, never through a symlink.
fn open_lock(path: &Path) -> io::Result<File> {
    const O_NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(O_NOFOLLOW);
    options.open(path).map_err(|error| about(path, error))
}
