//! The messages, encoded with postcard. Any change here changes the build id, and wrapper
//! and daemon of different builds never decode each other's payloads (see `frame`).

use serde::{Deserialize, Serialize};

use super::told::{Explanation, Inspected, Json};
use crate::fp::check::CacheType;
use crate::fp::selection::Selection;
use crate::fp::set::Digest;
use crate::session::reason::Reason;
use crate::session::record::{SessionId, SessionRecord};
use crate::terms::Arg;
use crate::terms::blob::BlobId;
use crate::terms::blob::BlobStat;
use crate::terms::output::LinkMode;
use crate::terms::output::{Output, Role, WriteStyle};
use crate::terms::priority::Niceness;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Answered by `Reply::Answer`.
    Compile(Invocation),
    /// What became of an answer. Answered by `Reply::Done` once all of it is written down, if `Work::stays` asked
    /// for that.
    Report(Report),
    /// Answered by `Reply::Status`.
    Status,
    /// Answered by `Reply::Done`, then the daemon exits.
    Stop,
    /// Answered by `Reply::Cleared`.
    Clear,
    /// What files contain. Answered by `Reply::Fingerprint`.
    Fingerprint { plot: Plot, wanted: Option<Digest> },
    /// Watch these files: somebody will ask for them. What the cache file holds saves
    /// readings. Not answered.
    Plant { plot: Plot, cache_file: Arg },
    /// What a compile would come to. Answered by `Reply::Explained`.
    Explain(Invocation),
    /// Answered by `Reply::Session`, after all its commands so far are written down.
    Session { id: SessionId, end: bool },
    /// Answered by `Reply::Done` after the journal is written.
    Flush,
    /// The results whose keys begin with these bytes. Answered by `Reply::Inspected`.
    Inspect(Vec<u8>),
    /// The client becomes the tool although it got an answer. Not answered.
    FellBack(Reason),
    /// What is going on; answered by `Reply::Picture`.
    Picture,
}

/// What the daemon says back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Answer(Answer),
    Status(Box<crate::session::stats::Status>),
    Cleared(Cleared),
    Explained(Box<Json<Explanation>>),
    /// None: no session of that name.
    Session(Option<Box<Json<SessionRecord>>>),
    Inspected(Vec<Inspected>),
    Done,
    Picture(Box<super::told::Picture>),
    Fingerprint(Fingerprint),
}

/// Files to be watched, for `fp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Plot {
    /// Absolute.
    #[serde(with = "serde_bytes")]
    pub root: Vec<u8>,
    pub selection: Selection,
    pub cache_type: CacheType,
}

/// What files contain now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Fingerprint {
    /// Their digest is the wanted one.
    Same,
    /// `FileSet::encode`.
    Set(#[serde(with = "serde_bytes")] Vec<u8>),
    /// They are not watched.
    Unknown,
}

/// What `clear` removed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cleared {
    pub artifacts: u64,
    pub metadata: u64,
    pub dep_graph: u64,
    pub bytes: u64,
}

/// A command as the kernel laid it out; the wrapper has understood none of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Invocation {
    /// The tool as typed and its arguments, each ended by NUL.
    #[serde(with = "serde_bytes")]
    pub argv: Vec<u8>,
    /// `NAME=VALUE`, each ended by NUL.
    #[serde(with = "serde_bytes")]
    pub env: Vec<u8>,
    /// Absolute, as `getcwd` says.
    #[serde(with = "serde_bytes")]
    pub cwd: Vec<u8>,
    /// The tool was called through a symlink of its own name: the next one on PATH is meant.
    pub masquerade: bool,
    /// Standard error, if it is a terminal.
    pub terminal: Option<Terminal>,
    /// Blobs found damaged in an earlier answer to the same invocation.
    pub damaged: Vec<BlobId>,
    /// A hit for this was counted already; it could not be delivered the short way.
    pub again: bool,
    /// Only said of tools whose messages go there.
    pub stdout: StdoutIs,
    /// Any command, by what its caller says of it (`zccache exec`).
    pub declared: Option<Declared>,
}

/// The terminal that messages are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Terminal {
    pub columns: u16,
    /// The columns of standard input, if that is a terminal too: gcc goes by those, and cuts nothing without.
    pub input: Option<u16>,
}

/// Where standard output goes, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StdoutIs {
    /// Somewhere else than standard error, and that is no terminal; or it does not matter.
    #[default]
    Apart,
    /// A terminal.
    Terminal,
    /// The very file, pipe or terminal that standard error is: the order of both is one.
    AsStderr,
}

/// What a command depends on and makes, by its caller's word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Declared {
    /// Globs of files that it reads.
    pub inputs: Vec<Arg>,
    /// Files and folders that it makes.
    pub outputs: Vec<Arg>,
    /// Names of the variables that it looks at.
    pub variables: Vec<Arg>,
}

/// What the wrapper has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// Become the tool. The argument is the one to blame, if one is.
    Plain(Reason, Option<Arg>, Option<Niceness>),
    /// Run nothing: the user's own rules forbid this command. The line to tell.
    Refused(String),
    /// Do these steps in order; then exit as the first failed run did, or with 0.
    Work(Work),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Names this answer in the report that follows.
    pub ticket: u64,
    pub steps: Vec<Step>,
    /// Change times in the store's file system tell any two writes apart (multigrain
    /// timestamps), so a blob's stat taken right after a delivery can be trusted.
    pub fine_times: bool,
    /// For callers that do not say how files may be shared.
    pub link_mode: LinkMode,
    /// What tools are to run at; None: as inherited.
    pub niceness: Option<Niceness>,
    /// Files that only the steps need: made before them, in nobody else's place, and removed at the
    /// end.
    pub scratch: Vec<Arg>,
    /// After a success the wrapper is to wait for a moment until its report is dealt with: whoever called it may
    /// take away what was compiled as soon as it ends.
    pub stays: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Step {
    Deliver(Delivery),
    Run(Run),
}

/// A hit: files to put in place and text to write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub outputs: Vec<Delivered>,
    pub text: Vec<Chunk>,
    /// The tool's exit status.
    pub status: i32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivered {
    pub path: Arg,
    pub style: WriteStyle,
    pub executable: bool,
    pub content: Content,
}

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Here (small files).
    Inline(#[serde(with = "serde_bytes")] Vec<u8>),
    /// In the store. `seen` is the blob's stat when its content was last known to be good.
    Blob { id: BlobId, size: u64, seen: Option<BlobStat> },
}

/// Which of the tool's two streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// Text in the order it was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    pub stream: Stream,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// A miss: run the tool and take in what it makes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The program file to execute.
    pub program: Arg,
    /// The whole argv, from argv[0] on.
    pub argv: Vec<Arg>,
    /// Variables set for this run on top of the caller's environment.
    pub env: Vec<(Arg, Arg)>,
    /// For each unit of this run, the files it makes.
    pub units: Vec<RunUnit>,
    /// Files to send back with the report.
    pub read_back: Vec<ReadBack>,
    /// Where the tool may make files that nobody named.
    pub observed: Option<Observation>,
    /// Exit statuses that may be a result; any other is a failure.
    pub answers: Vec<i32>,
    /// As the tool's standard output is to be.
    pub stdout: StdoutIs,
    pub stage: Stage,
}

/// What a run is to the steps around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// It fails for itself.
    #[default]
    Whole,
    /// The last one needs what it makes. It may fail as compilers do, with status 1, and the other
    /// pieces are run all the same; after any other end the user's own command decides.
    Piece,
    /// Runs only if all before it succeeded.
    Last,
}

/// A folder to be looked at before and after a run, or all the while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    pub folder: Arg,
    /// Only files whose names begin so count.
    pub beginning: Arg,
    /// The run is traced, so that what it makes is told from what others make meanwhile.
    pub is_traced: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunUnit {
    /// Its number in the command, from 0.
    pub unit: u32,
    pub outputs: Vec<Output>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    pub path: Arg,
    /// It is ours, not the user's: remove it afterwards, however the run ended.
    pub remove: bool,
}

/// What became of a `Work` answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub ticket: u64,
    /// Blobs whose stat was changed by delivering them (a hard link changes ctime), or was found to
    /// differ while the content was good. `None`: do not trust any stat of it.
    pub blobs: Vec<(BlobId, Option<BlobStat>)>,
    /// One for each `Step::Run`, in order.
    pub runs: Vec<RunReport>,
    /// The error that came of taking on the niceness, if one did.
    pub niceness_refused: Option<i32>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    pub exit: Exit,
    pub text: Vec<Chunk>,
    /// Empty unless the run ended with one of `Run::answers`.
    pub units: Vec<TakenUnit>,
    /// One for each `Run::read_back`, in order; empty where the file was not there.
    pub dependencies: Vec<serde_bytes::ByteBuf>,
    /// Files were made or changed meanwhile that can't be told to be outputs or somebody else's.
    pub made_besides: bool,
    /// What a traced run was seen to depend on.
    pub looked_at: LookedAt,
    /// Wall time of the run.
    pub took_ns: u64,
}

/// Names that a run used, absolute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LookedAt {
    /// Files that were read, or could have been.
    pub read: Vec<Arg>,
    /// Where nothing was.
    pub absent: Vec<Arg>,
    /// Folders.
    pub exists: Vec<Arg>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TakenUnit {
    pub unit: u32,
    /// A file that was not there is left out; one that could not be taken in has `content: None`.
    pub outputs: Vec<Taken>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    pub role: Role,
    pub executable: bool,
    pub content: Option<Content>,
}
