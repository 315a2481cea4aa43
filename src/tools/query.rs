//! Asking a compiler about itself: run it, bounded in time, and read its answer.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::environment::Environment;
use super::find::{base, key_of};
use super::way::{self, Way};
use crate::inputs::dialect::Flavor;
use crate::terms::Arg;

/// What a query printed.
pub(super) struct Said {
    pub(super) success: bool,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// A driver that has not answered by then is not asked again for this call.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long its streams may stay open once it has ended: whoever holds them then may do so for ever.
const AFTER_END: Duration = Duration::from_millis(200);
const OUTPUT_BYTES_MAX: usize = 4 << 20;

/// Variables that would add to an answer what is accounted for elsewhere.
const HIDDEN: &[&[u8]] = &[
    b"CPATH",
    b"C_INCLUDE_PATH",
    b"CPLUS_INCLUDE_PATH",
    b"OBJC_INCLUDE_PATH",
    b"OBJCPLUS_INCLUDE_PATH",
];
const UNSET: &[&[u8]] = &[b"LC_ALL", b"LANGUAGE", b"ZCCACHE_DISABLE", b"MAKEFLAGS"];

/// Runs a program with the caller's environment (messages in English, no cache inside), but
/// for the variables that add to its search path. None when it can't be run or does not end
/// in time.
pub(super) fn ask(program: &[u8], args: &[Arg], env: Environment<'_>, cwd: &[u8]) -> Option<Said> {
    run(program, args, env, cwd, HIDDEN, None)
}

/// The same with the caller's search path.
pub(super) fn ask_as_called(
    program: &[u8],
    args: &[Arg],
    env: Environment<'_>,
    cwd: &[u8],
) -> Option<Said> {
    run(program, args, env, cwd, &[], None)
}

/// The same with a text on standard input.
pub(super) fn ask_with(
    program: &[u8],
    args: &[Arg],
    env: Environment<'_>,
    cwd: &[u8],
    text: &Arc<[u8]>,
) -> Option<Said> {
    run(program, args, env, cwd, &[], Some(text.clone()))
}

fn run(
    program: &[u8],
    args: &[Arg],
    env: Environment<'_>,
    cwd: &[u8],
    hidden: &[&[u8]],
    input: Option<Arc<[u8]>>,
) -> Option<Said> {
    let mut command = Command::new(OsStr::from_bytes(program));
    command.args(args.iter().map(|arg| OsStr::from_bytes(arg)));
    command.env_clear();
    for (name, value) in env.iter() {
        if !hidden.contains(&name) && !UNSET.contains(&name) {
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
    }
    command.env("LC_ALL", "C").env("ZCCACHE_DISABLE", "1");
    // A script that calls us again must not be found again.
    if let Some(file) = key_of(program) {
        let way = Way::of(None).and(base(program), file);
        command.env(OsStr::from_bytes(way::VARIABLE), OsStr::from_bytes(&way));
    }
    command.current_dir(OsStr::from_bytes(cwd));
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // Whoever does not read it all answers something else, or nothing.
        std::thread::spawn(move || pipe.write_all(&input));
    }
    let said = listen(&mut child, Instant::now() + PATIENCE);
    if said.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (status, [stdout, stderr]) = said?;
    Some(Said { success: status.success(), stdout, stderr })
}

/// Reads all that a program says, and waits for its end. None when that takes too long, when it says
/// too much, or when a process that it left behind may still say more.
fn listen(child: &mut Child, deadline: Instant) -> Option<(ExitStatus, [Vec<u8>; 2])> {
    let mut deadline = deadline;
    // Without it (Linux before 5.3) the end of the streams is the program's.
    let mut ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
    let mut streams =
        [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let mut said = [Vec::new(), Vec::new()];
    let mut buffer = vec![0; 16 << 10];
    while ended.is_some() || streams.iter().any(Option::is_some) {
        let sources = streams.iter().flatten().chain(&ended);
        let mut fds: Vec<PollFd<'_>> = sources.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match rustix::event::poll(&mut fds, Some(&left)) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(_) => return None,
        }
        let mut ready =
            fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>().into_iter();
        for (stream, said) in streams.iter_mut().zip(&mut said) {
            let Some(fd) = stream.as_ref().filter(|_| ready.next() == Some(true)) else { continue };
            match rustix::io::read(fd, &mut buffer) {
                Ok(0) => *stream = None,
                Ok(count) if said.len() + count > OUTPUT_BYTES_MAX => return None,
                Ok(count) => said.extend_from_slice(&buffer[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return None,
            }
        }
        if ready.next() == Some(true) {
            ended = None;
            deadline = deadline.min(Instant::now() + AFTER_END);
        }
    }
    loop {
        match child.try_wait().ok()? {
            Some(status) => return Some((status, said)),
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            None => return None,
        }
    }
}

/// Which family answers `-v`, and the line that says which version.
pub(super) fn flavor(said: &Said) -> Option<(Flavor, Vec<u8>)> {
    let text = [&said.stderr[..], b"\n", &said.stdout[..]].concat();
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let has = |word: &[u8]| line.windows(word.len()).any(|part| part == word);
        if has(b"clang version") {
            Some((Flavor::Clang, line.to_vec()))
        } else if line.starts_with(b"gcc version") || line.starts_with(b"gcc driver version") {
            Some((Flavor::Gcc, line.to_vec()))
        } else {
            None
        }
    })
}

/// The version in a version line, such as `12.2.0`.
pub(super) fn version(line: &[u8]) -> Vec<u8> {
    let after = line.windows(8).position(|part| part == b"version ").map_or(0, |at| at + 8);
    let is_part = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    line[after..].iter().take_while(is_part).copied().collect()
}

/// What the `Target:` line says.
pub(super) fn target(said: &Said) -> Vec<u8> {
    let text = [&said.stderr[..], b"\n", &said.stdout[..]].concat();
    let mut lines = text.split(|byte| *byte == b'\n');
    lines.find_map(|line| line.strip_prefix(b"Target: ")).unwrap_or_default().to_vec()
}

/// The major version number in a version line, 0 when there is none.
pub(super) fn major_version(line: &[u8]) -> u32 {
    version(line)
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
}

/// What `-E -v` tells.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Verbose {
    /// The folders of the `<…>` list, in order.
    pub(super) folders: Vec<Vec<u8>>,
    /// Default folders that do not exist (now).
    pub(super) missing_folders: Vec<Vec<u8>>,
    /// Files it read for its settings (specs, configuration files).
    pub(super) settings: Vec<Vec<u8>>,
    /// Where it looks for its programs.
    pub(super) program_folders: Vec<Vec<u8>>,
}

/// Reads the stderr of `-E -v`. None when there is no search list in it.
pub(super) fn verbose(text: &[u8]) -> Option<Verbose> {
    let mut found = Verbose::default();
    let mut in_list = false;
    let mut complete = false;
    for line in text.split(|byte| *byte == b'\n') {
        if line.starts_with(b"#include <...> search starts here") {
            in_list = true;
        } else if line.starts_with(b"End of search list") {
            in_list = false;
            complete = true;
        } else if in_list {
            let folder = line.strip_prefix(b" ").unwrap_or(line);
            let folder = folder.strip_suffix(b" (framework directory)").unwrap_or(folder);
            found.folders.push(folder.to_vec());
        } else if let Some(rest) = line.strip_prefix(b"ignoring nonexistent directory \"") {
            found.missing_folders.push(rest.strip_suffix(b"\"").unwrap_or(rest).to_vec());
        } else if let Some(rest) = line.strip_prefix(b"Reading specs from ") {
            found.settings.push(rest.to_vec());
        } else if let Some(rest) = line.strip_prefix(b"Configuration file: ") {
            found.settings.push(rest.to_vec());
        } else if let Some(rest) = line.strip_prefix(b"COMPILER_PATH=") {
            found.program_folders = rest
                .split(|byte| *byte == b':')
                .filter(|part| !part.is_empty())
                .map(<[u8]>::to_vec)
                .collect();
        }
    }
    complete.then_some(found)
}

/// The commands that `-###` prints, each as its words.
pub(super) fn planned_commands(text: &[u8]) -> Vec<Vec<Vec<u8>>> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b" ") && !line.starts_with(b" (in-process)"))
        .map(words)
        .filter(|words| !words.is_empty())
        .collect()
}

/// Splits a printed command: blanks separate, double quotes hold together, a backslash takes
/// the next character as it is.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quoted = false;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => word.get_or_insert_default().extend(bytes.next()),
            b'"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            b' ' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(script: &str) -> Option<Said> {
        let args = [b"-c".to_vec(), script.as_bytes().to_vec()];
        ask(b"/bin/sh", &args, Environment::new(b"PATH=/usr/bin:/bin\0"), b"/")
    }

    #[test]
    fn all_that_is_said_is_heard() {
        let said = say("echo a; head -c 300000 /dev/zero >&2; exec >&- 2>&-; sleep 0.1; exit 3");
        let said = said.expect("an answer");
        assert_eq!(
            (said.success, &said.stdout[..], said.stderr.len()),
            (false, &b"a\n"[..], 300_000)
        );
        assert!(say("head -c 5000000 /dev/zero").is_none());
    }

    #[test]
    fn a_process_left_behind_is_not_waited_for() {
        let begin = Instant::now();
        assert!(say("sleep 20 & echo a").is_none());
        assert!(say("sleep 20 > /dev/null 2>&1 & echo a").is_some());
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_search_list_is_read() {
        let text = b"Reading specs from /x/specs\nignoring nonexistent directory \"/none\"\n#include \"...\" search starts here:\n#include <...> search starts here:\n /usr/a b\n /usr/include\nEnd of search list.\nCOMPILER_PATH=/l/:/m/\n";
        let found = verbose(text).expect("a list");
        assert_eq!(found.folders, [b"/usr/a b".to_vec(), b"/usr/include".to_vec()]);
        assert_eq!(found.missing_folders, [b"/none".to_vec()]);
        assert_eq!(found.settings, [b"/x/specs".to_vec()]);
        assert_eq!(found.program_folders, [b"/l/".to_vec(), b"/m/".to_vec()]);
        assert_eq!(verbose(b"error: no\n"), None);
    }

    #[test]
    fn planned_commands_are_split_as_printed() {
        let text = b"Target: x\n /l/cc1 \"-quiet\" \"a b\" \"-D\" \"X=\\\"1\\\"\"\n as --64 -o x.o\n (in-process)\n";
        let commands = planned_commands(text);
        assert_eq!(commands.len(), 2);
        assert_eq!(commands[0][2], b"a b");
        assert_eq!(commands[0][4], b"X=\"1\"");
        assert_eq!(commands[1][0], b"as");
    }

    #[test]
    fn families_are_told_apart() {
        let said = |text: &str| Said {
            success: true,
            stdout: Vec::new(),
            stderr: text.as_bytes().to_vec(),
        };
        let (flavor_gcc, line) =
            flavor(&said("Thread model: posix\ngcc version 12.2.0 (Debian)\n")).expect("gcc");
        assert_eq!((flavor_gcc, major_version(&line)), (Flavor::Gcc, 12));
        let (flavor_clang, line) = flavor(&said("Debian clang version 14.0.6\n")).expect("clang");
        assert_eq!((flavor_clang, major_version(&line)), (Flavor::Clang, 14));
        assert!(flavor(&said("busybox")).is_none());
    }
}
