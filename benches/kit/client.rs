//! One connection to a daemon, and the pretended compiles.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use zccache::protocol::frame::{self, Build, HEADER_BYTES, Header, Verb};
use zccache::protocol::message::{
    Answer, Content, Exit, Reply, Report, Request, RunReport, Step, Taken, TakenUnit, Work,
};
use zccache::session::reason::Reason;
use zccache::session::stats::Status;
use zccache::terms::output::Role;

use super::{Daemon, Project};

pub struct Client {
    stream: UnixStream,
    /// Reused: an answer costs the client no allocation.
    payload: Vec<u8>,
}

/// What the daemon said to a compile.
pub enum Answered {
    Hit,
    Miss(Work),
}

impl Client {
    pub fn connect(socket: &Path) -> Client {
        let stream = UnixStream::connect(socket).expect("the daemon listens");
        Client { stream, payload: Vec::new() }
    }

    fn exchange(&mut self, frame: &[u8]) -> Header {
        self.stream.write_all(frame).expect("the daemon reads");
        loop {
            // As wrappers do. Who sleeps in `read` is woken as well when the daemon takes its question in, at the
            // daemon's cost.
            poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], None)
                .expect("the daemon answers");
            let mut head = [0; HEADER_BYTES];
            self.stream.read_exact(&mut head).expect("the daemon answers");
            let header = Header::decode(&head).expect("a frame");
            assert_eq!(
                header.build,
                Build::own(),
                "the daemon is of another build than this bench"
            );
            self.payload.resize(header.length, 0);
            self.stream.read_exact(&mut self.payload).expect("a whole frame");
            if header.verb != Verb::Wait {
                return header;
            }
        }
    }

    /// Sends a compile's frame and reads the answer; asks again where the index has just kept somebody
    /// waiting for long. Panics when it is to run plainly for another reason.
    pub fn compile(&mut self, frame: &[u8]) -> Answered {
        loop {
            if self.exchange(frame).verb == Verb::QuickHit {
                return Answered::Hit;
            }
            match postcard::from_bytes(&self.payload).expect("an answer") {
                Reply::Answer(Answer::Work(work)) => {
                    if work.steps.iter().all(|step| matches!(step, Step::Deliver(_))) {
                        return Answered::Hit;
                    }
                    return Answered::Miss(work);
                }
                Reply::Answer(Answer::Plain(Reason::InternalFault, ..)) => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                other => panic!("the daemon answers a compile with {other:?}"),
            }
        }
    }

    /// Panics unless it is a hit.
    pub fn hit(&mut self, frame: &[u8]) {
        assert!(matches!(self.compile(frame), Answered::Hit), "a known compile is no hit");
    }

    /// Reports the compile as done, and waits where a wrapper would; `object` is what it made.
    pub fn report(&mut self, work: &Work, object: Content, dependencies: &[u8]) {
        let Some(Step::Run(run)) = work.steps.first() else { panic!("a miss without a run") };
        let taken = Taken { role: Role::Main, executable: false, content: Some(object) };
        let report = RunReport {
            made_besides: false,
            looked_at: Default::default(),
            exit: Exit::Status(0),
            text: Vec::new(),
            units: vec![TakenUnit { unit: 0, outputs: vec![taken] }],
            dependencies: vec![dependencies.to_vec().into(); run.read_back.len()],
            took_ns: 1_000_000,
        };
        let report = Report {
            ticket: work.ticket,
            blobs: Vec::new(),
            runs: vec![report],
            niceness_refused: None,
        };
        let frame = frame::message(&Request::Report(report)).expect("a message");
        if work.stays {
            self.exchange(&frame);
        } else {
            self.stream.write_all(&frame).expect("the daemon reads");
        }
    }

    pub fn status(&mut self) -> Status {
        self.exchange(&frame::message(&Request::Status).expect("a message"));
        match postcard::from_bytes(&self.payload).expect("a status") {
            Reply::Status(status) => *status,
            other => panic!("not a status: {other:?}"),
        }
    }

    pub fn ask_to_stop(&mut self) {
        self.exchange(&frame::message(&Request::Stop).expect("a message"));
    }
}

/// Makes the results of these compiles known, on two connections; `object` gives what each made. Then
/// waits until all of them hit.
pub fn learn(
    daemon: &Daemon,
    project: &Project,
    units: std::ops::Range<usize>,
    object: &(dyn Fn(usize) -> Content + Sync),
) {
    let teach = |odd: usize| {
        let mut client = daemon.client();
        for n in units.clone().filter(|n| n % 2 == odd) {
            if let Answered::Miss(work) = client.compile(&project.request(n)) {
                client.report(&work, object(n), &project.dependencies(n));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| teach(0));
        teach(1);
    });
    // Results are written down beside the answers; asking for one waits for it.
    let mut client = daemon.client();
    for n in units {
        client.hit(&project.request(n));
    }
}
