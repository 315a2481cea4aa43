use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::kit::{Sandbox, ZCCACHE, eventually, finish, finish_within, have, may_mount};
use crate::look::{is_as_documented, json_of};
use crate::web_server::{Lie, Server, Site};

/// Bytes that no two places have alike.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn value(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).to_owned()
}

/// The downloader by its own name.
fn own_name(s: &mut Sandbox) {
    let bin = s.aside("bin");
    symlink(ZCCACHE, bin.join("zccache-download")).unwrap();
    s.path_first(&bin);
}

/// What is in a folder, hidden files too.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn in_parts_and_only_once() {
    let mut s = Sandbox::new();
    let content = noise(3_000_000, 1);
    let server = Server::start(Site::of(content.clone()));
    let url = server.url("dir/tool.bin?x=1");
    let line = format!("download {url} --multipart-parts 4 --min-segment-size 100000");
    let out = s.z(&line).ok().out();
    let path = value(&out, "path");
    assert_eq!(value(&out, "status"), "downloaded");
    assert_eq!(value(&out, "sha256"), sha256(&content));
    assert!(path.starts_with(s.cache.to_str().unwrap()) && path.ends_with("/tool.bin"), "{path}");
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    assert!(server.asked().len() >= 4, "{:?}", server.asked());

    // Again: the server is asked whether it has changed, and sends nothing.
    let (asked, sent) = (server.asked().len(), server.sent());
    let again = s.z(&line).ok().out();
    assert_eq!(
        (value(&again, "status").as_str(), value(&again, "path")),
        ("already_present", path.clone())
    );
    assert_eq!((server.asked().len(), server.sent()), (asked + 1, sent));
    assert_eq!(server.asked()[asked].status, 304);
    // With a hash nobody is asked.
    s.z(&format!("{line} --sha256 {}", sha256(&content))).ok();
    assert_eq!(server.asked().len(), asked + 1);
    // The server is gone: what is there is good, but not known to be the newest.
    let gone = s.z(&format!("download http://127.0.0.1:1/x --output {path}.other"));
    assert_eq!(gone.status.code(), Some(11), "{}", gone.err());
    assert_eq!(gone.err().lines().filter(|line| line.starts_with("zccache:")).count(), 1);
    // Damaged, or another version: fetched again.
    fs::write(&path, "damaged").unwrap();
    assert_eq!(value(&s.z(&line).ok().out(), "status"), "downloaded");
    let newer = noise(1000, 2);
    server.set(|site| *site = Site { tag: Some("\"two\"".to_owned()), ..Site::of(newer.clone()) });
    assert_eq!(value(&s.z(&line).ok().out(), "sha256"), sha256(&newer));
    assert_eq!(fs::read(&path).unwrap(), newer);
    // Forced.
    let sent = server.sent();
    s.z(&format!("{line} --force")).ok();
    assert_eq!(server.sent(), sent + newer.len());
    own_name(&mut s);
    s.bare("zccache-download daemon stop").ok();
}

#[test]
fn one_connection_serves_many_parts() {
    let s = Sandbox::new();
    let content = noise(3_000_000, 22);
    let server = Server::start(Site::of(content.clone()));
    let effort = "--multipart-parts 30 --max-connections 1 --min-segment-size 65536";
    s.z(&format!("download {} --output f {effort}", server.url("f"))).ok();
    assert_eq!(s.read("f"), content);
    assert!(server.asked().len() >= 30, "{:?}", server.asked());
    // The first answer would go on beyond its part, and is let go of.
    assert_eq!(server.connections(), 2);
}

#[test]
fn what_breaks_off_goes_on_where_it_was() {
    let s = Sandbox::new();
    let content = noise(1_000_000, 3);
    let server = Server::start(Site { cut: Some(70_001), ..Site::of(content.clone()) });
    s.z(&format!(
        "download {} --output f --multipart-parts 3 --min-segment-size 65536",
        server.url("f")
    ))
    .ok();
    assert_eq!(s.read("f"), content);
    assert!(server.sent() < 2 * content.len(), "{}", server.sent());
    assert_eq!(names(&s.dir), ["f"]);
}

#[test]
fn servers_that_lie() {
    let s = Sandbox::new();
    let content = noise(500_000, 4);
    for (number, (lie, tag, status)) in [
        (Lie::NoRanges, true, 0),
        (Lie::WrongStart, true, 0),
        (Lie::Gzip, true, 0),
        (Lie::NoLength, true, 0),
        (Lie::Chunks, true, 0),
        (Lie::RangesOnce, true, 0),
        (Lie::None, false, 0),
        (Lie::RangesOnce, false, 0),
        (Lie::TooLong, true, 11),
        (Lie::ChunksCut, true, 11),
    ]
    .into_iter()
    .enumerate()
    {
        let tag = tag.then(|| "\"t\"".to_owned());
        let server = Server::start(Site { lie, tag: tag.clone(), ..Site::of(content.clone()) });
        let name = format!("f{number}");
        let line =
            format!("download {} --output {name} --min-segment-size 65536", server.url("f.bin"));
        let output = s.z(&line);
        assert_eq!(output.status.code(), Some(status), "{lie:?} {}", output.err());
        if status == 0 {
            assert_eq!(s.read(&name), content, "{lie:?} {tag:?}");
        } else {
            assert!(!s.exists(&name), "{lie:?}");
        }
    }
    // An empty file has no ranges.
    let server = Server::start(Site::of(Vec::new()));
    s.z(&format!("download {} --output empty", server.url("e"))).ok();
    assert_eq!(s.read("empty"), b"");
    // A file that is gzip stays gzip, whatever the server calls it.
    let server = Server::start(Site { lie: Lie::Gzip, ..Site::of(content.clone()) });
    s.z(&format!("download {} --output g", server.url("f.gz"))).ok();
    assert!(s.read("g").starts_with(&[0x1f, 0x8b]));
    // Some trouble passes.
    let server = Server::start(Site { statuses: vec![503, 500, 429], ..Site::of(content.clone()) });
    s.z(&format!("download {} --output t", server.url("t"))).ok();
    assert_eq!(s.read("t"), content);
    let server = Server::start(Site { statuses: vec![404; 9], ..Site::of("") });
    let refused = s.z(&format!("download {} --output u", server.url("u"))).code(10);
    assert!(refused.err().contains("404"), "{}", refused.err());
    assert_eq!(server.asked().len(), 1);
    assert!(names(&s.dir).iter().all(|name| !name.starts_with('.')), "{:?}", names(&s.dir));
}

#[test]
fn never_stitched_from_two_versions() {
    let s = Sandbox::new();
    let (old, new) = (noise(800_000, 5), noise(800_000, 6));
    for (number, tag) in [Some("\"two\""), None].into_iter().enumerate() {
        for after in 1..5 {
            let next = Site { tag: tag.map(str::to_owned), ..Site::of(new.clone()) };
            let first = if tag.is_some() { Some("\"one\"".to_owned()) } else { None };
            let server = Server::start(Site {
                cut: Some(150_000),
                tag: first,
                then: Some((after, Box::new(next))),
                ..Site::of(old.clone())
            });
            let name = format!("f{number}-{after}");
            let url = server.url("f");
            s.z(&format!("download {url} --output {name} --min-segment-size 65536")).ok();
            assert_eq!(sha256(&s.read(&name)), sha256(&new), "{tag:?} {after}");
        }
    }
}

#[test]
fn wrong_content_is_kept_aside() {
    let s = Sandbox::new();
    let content = noise(100_000, 7);
    let server = Server::start(Site::of(content.clone()));
    let wanted = sha256(b"something else");
    let output = s.z(&format!("download {} --output f --sha256 {wanted}", server.url("f"))).code(5);
    assert!(!s.exists("f"));
    let aside = s.path(format!("f.{}.bad", &sha256(&content)[..12]));
    assert!(output.err().contains(aside.to_str().unwrap()), "{}", output.err());
    assert_eq!(fs::read(&aside).unwrap(), content);
    assert_eq!(output.out(), "");
}

#[test]
fn bad_input_has_a_line_and_a_status_of_its_own() {
    let mut s = Sandbox::new();
    s.write("file", "");
    s.write("full/x", "");
    let server = Server::start(Site::of("not an archive"));
    let good = server.url("f");
    let hex = "0".repeat(64);
    for (line, status, says) in [
        ("download".to_owned(), 2, "a URL to download is needed"),
        ("download ftp://host/f".to_owned(), 3, "ftp"),
        ("download nonsense".to_owned(), 3, "nonsense"),
        (format!("download {good} --sha256 0123456789abcdef"), 4, "64 hexadecimal digits"),
        (format!("download {good} --sha256 {}", hex.replace("00", "0x")), 4, "hexadecimal"),
        (format!("download {good} --output full"), 6, "it is a folder"),
        (format!("download {good} --output file/f"), 6, "file"),
        (format!("download {good} --output /proc/f"), 6, "/proc"),
        (format!("download {good} --unarchive full"), 6, "other files in it"),
        (format!("download {good} --unarchive d"), 8, "not an archive"),
        (format!("download {good} --unarchive d --archive-format zip"), 8, "not zip"),
        (format!("download {good} --url {good}"), 2, "twice"),
        (format!("download {good} --max-connections x"), 2, "whole number"),
        ("downloader fetch x".to_owned(), 2, "zccache-download fetch --help"),
        ("downloader status 0123".to_owned(), 1, "no such download"),
    ] {
        let output = s.z(&line);
        assert_eq!(output.status.code(), Some(status), "{line}: {}", output.err());
        let told: Vec<String> = output
            .err()
            .lines()
            .filter(|line| line.starts_with("zccache"))
            .map(str::to_owned)
            .collect();
        assert!(told.len() == 1 && told[0].contains(says), "{line}: {told:?}");
        assert_eq!(output.out(), "", "{line}");
    }
    assert!(!s.exists("d"));
    s.set("SSL_CERT_FILE", "nowhere.pem");
    let output = s.z(&format!("download {good} --output g")).code(11);
    assert!(output.err().contains("nowhere.pem"), "{}", output.err());
    s.set("SSL_CERT_FILE", "");
    s.set("http_proxy", "http://127.0.0.1:1");
    s.z(&format!("download {good} --output g")).code(11);
    s.set("no_proxy", "127.0.0.1");
    s.z(&format!("download {good} --output g")).ok();
}

#[test]
fn fifty_processes_share_one_fetch() {
    let s = Sandbox::new();
    let content = noise(2_000_000, 8);
    let pause = Duration::from_millis(60);
    let server = Server::start(Site { pause, ..Site::of(content.clone()) });
    let line = format!("download {} --json --max-connections 1", server.url("shared"));
    let all: Vec<_> = (0..50).map(|_| s.z_command(&line).spawn().unwrap()).collect();
    for child in all {
        let output = finish(child).ok();
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        is_as_documented(json_of("download"), &result);
        assert_eq!(result["sha256"], sha256(&content));
        // Progress, for those who came while there was something to tell.
        for line in output.err().lines() {
            let told: Value = serde_json::from_str(line).unwrap();
            assert!(told["downloaded_bytes"].is_u64(), "{told}");
        }
    }
    assert_eq!(s.daemons().len(), 1);
    let fetches = server.asked().iter().filter(|asked| !asked.conditional).count();
    assert_eq!(fetches, 1, "{:?}", server.asked());
}

#[test]
fn the_same_to_two_places_is_fetched_once() {
    let s = Sandbox::new();
    let content = noise(1_000_000, 9);
    let pause = Duration::from_millis(60);
    let server = Server::start(Site { pause, ..Site::of(content.clone()) });
    let all: Vec<_> = (0..4)
        .map(|n| {
            let line = format!("download {} --output d{n}/f --max-connections 1", server.url("f"));
            s.z_command(&line).spawn().unwrap()
        })
        .collect();
    all.into_iter().for_each(|child| drop(finish(child).ok()));
    for n in 0..4 {
        assert_eq!(s.read(format!("d{n}/f")), content);
    }
    assert!(server.sent() < 2 * content.len(), "{}", server.sent());
}

#[test]
fn handles() {
    let mut s = Sandbox::new();
    own_name(&mut s);
    let content = noise(4_000_000, 10);
    let pause = Duration::from_millis(40);
    let server = Server::start(Site { pause, ..Site::of(content.clone()) });
    let url = server.url("f");
    s.bare("zccache-download daemon status").code(1);
    s.bare("zccache-download status 00").code(14);
    s.bare("zccache-download daemon start").ok();
    s.bare("zccache-download daemon start").ok();
    assert_eq!(s.daemons().len(), 1);
    s.bare(&format!("zccache-download exists {url} f")).code(1);
    let got = s.bare(&format!("zccache-download get {url} f --max-connections 1")).ok().out();
    let id = value(&got, "download_id");
    // Nobody waits for it, and it goes on.
    s.bare(&format!("zccache-download wait {id} --timeout 1")).code(13);
    let status = s.bare(&format!("zccache-download --json status {id}")).ok();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    is_as_documented(json_of("downloader"), &status);
    assert_eq!(status["destination"], s.path("f").to_str().unwrap());
    let daemon = s.bare("zccache-download --json daemon status").ok();
    let daemon: Value = serde_json::from_slice(&daemon.stdout).unwrap();
    assert!(daemon["running"] == true && daemon["downloads"][0]["download_id"] == id, "{daemon}");
    // The compile daemon is another one.
    s.z("status").code(1);
    let has_begun = || {
        let state = s.bare(&format!("zccache-download --json exists {url} f")).code(1);
        serde_json::from_slice::<Value>(&state.stdout).unwrap()["kind"] == "partial"
    };
    assert!(eventually(Duration::from_secs(20), has_begun));
    s.bare(&format!("zccache-download cancel {id}")).ok();
    let waited = s.bare(&format!("zccache-download wait {id}")).code(12);
    assert!(value(&waited.out(), "phase") == "cancelled" && !s.exists("f"));
    let state = s.bare(&format!("zccache-download --json exists {url} f")).code(1);
    assert_eq!(serde_json::from_slice::<Value>(&state.stdout).unwrap()["kind"], "partial");

    server.set(|site| site.pause = Duration::ZERO);
    let before = server.asked().len();
    let fetched = s.bare(&format!("zccache-download fetch {url} f")).ok().out();
    assert_eq!(value(&fetched, "sha256"), sha256(&content));
    let more = server.asked().split_off(before);
    let from_start =
        |range: &Option<String>| range.as_ref().is_none_or(|r| r.starts_with("bytes=0-"));
    assert!(more.iter().all(|asked| !from_start(&asked.range)), "it went on: {more:?}");
    assert_eq!(s.read("f"), content);
    let found = s.bare(&format!("zccache-download exists {url} f")).ok().out();
    assert_eq!(value(&found, "kind"), "present");
    let dry = s.z(&format!("download {url} --output f --dry-run")).ok().out();
    assert_eq!(value(&dry, "status"), "already_present");
    let dry = s.z(&format!("download {url} --output f --dry-run --force")).ok().out();
    assert_eq!(value(&dry, "status"), "would_download");
    let started = s.z(&format!("download {url} --output h --no-wait")).ok().out();
    s.bare(&format!("zccache-download wait {}", value(&started, "download_id"))).ok();
    assert_eq!(s.read("h"), content);
    s.bare("zccache-download daemon stop").ok();
    assert!(s.daemons().is_empty());
    let help = s.bare("zccache-download fetch --help").ok().out();
    assert!(
        help.starts_with("zccache-download fetch ") && help.contains("--expanded DIR"),
        "{help}"
    );
}

#[test]
fn the_last_client_gone_cancels() {
    let s = Sandbox::new();
    let content = noise(4_000_000, 11);
    let pause = Duration::from_millis(50);
    let server = Server::start(Site { pause, ..Site::of(content.clone()) });
    let line = format!("download {} --output f --max-connections 1", server.url("f"));
    let mut two: Vec<_> = (0..2).map(|_| s.z_command(&line).spawn().unwrap()).collect();
    assert!(eventually(Duration::from_secs(60), || server.sent() > 200_000));
    let daemon = |what: &str| s.z("downloader --json daemon status").out().contains(what);
    assert!(eventually(Duration::from_secs(60), || daemon("\"clients\":2")));
    for (number, child) in two.iter_mut().enumerate() {
        child.kill().unwrap();
        child.wait().unwrap();
        if number == 0 {
            assert!(eventually(Duration::from_secs(60), || daemon("\"clients\":1")));
            assert!(!daemon("cancelled"));
        }
    }
    assert!(eventually(Duration::from_secs(60), || daemon("cancelled")));
    server.set(|site| site.pause = Duration::ZERO);
    s.z(&line).ok();
    assert_eq!(s.read("f"), content);
    assert!(server.sent() < 2 * content.len());
}

#[test]
fn killed_at_random_bytes() {
    let s = Sandbox::new();
    let content = noise(6_000_000, 12);
    let pause = Duration::from_millis(8);
    let server = Server::start(Site { pause, ..Site::of(content.clone()) });
    let line = format!(
        "download {} --output f --multipart-parts 4 --min-segment-size 65536",
        server.url("f")
    );
    let mut random = noise(64, std::process::id().into()).into_iter();
    let mut rounds = 0;
    while rounds < 30 {
        rounds += 1;
        let sent = server.sent();
        let mut child = s.z_command(&line).stderr(Stdio::null()).spawn().unwrap();
        let more = 50_000 + usize::from(random.next().unwrap()) * 2_000;
        let ended = || child.try_wait().unwrap().is_some();
        let mut child_ended = ended;
        assert!(
            eventually(Duration::from_secs(100), || server.sent() > sent + more || child_ended())
        );
        if child.try_wait().unwrap().is_some() {
            break;
        }
        // Nothing is visible before it is whole.
        if s.exists("f") {
            assert_eq!(s.read("f"), content);
        }
        if rounds % 2 == 0 {
            s.daemons().into_iter().for_each(|pid| s.signal(pid, Signal::KILL));
            assert!(eventually(Duration::from_secs(20), || s.daemons().is_empty()));
            // The client says so, and does not hang.
            let output = finish_within(child, Duration::from_secs(60));
            assert!(matches!(output.status.code(), Some(0 | 14)), "{output:?}");
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    s.z(&line).ok();
    assert_eq!(sha256(&s.read("f")), sha256(&content));
    assert!(rounds > 2);
    // What was there each time counted: far less than a whole file for each round.
    assert!(server.sent() < 4 * content.len(), "{} in {rounds} rounds", server.sent());
    assert_eq!(names(&s.dir), ["f"]);
}

#[test]
fn mirrors_and_split_files() {
    let s = Sandbox::new();
    let content = noise(900_000, 13);
    let (one, rest) = content.split_at(300_001);
    let (other, third) = rest.split_at(1);
    let parts: Vec<Server> =
        [one, other, third].into_iter().map(|part| Server::start(Site::of(part))).collect();
    let urls: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(n, server)| format!("--part-url {}", server.url(&format!("a.bin.00{n}"))))
        .collect();
    let line = format!("download {} --min-segment-size 65536", urls.join(" "));
    let out = s.z(&line).ok().out();
    assert!(value(&out, "path").ends_with("/a.bin"));
    assert_eq!(value(&out, "sha256"), sha256(&content));
    assert_eq!(fs::read(value(&out, "path")).unwrap(), content);
    assert_eq!(value(&s.z(&line).ok().out(), "status"), "already_present");

    // Mirrors: with a hash all of them help; one that is gone or has something else does not hurt.
    let good = Server::start(Site::of(content.clone()));
    let wrong =
        Server::start(Site { tag: Some("\"w\"".to_owned()), ..Site::of(noise(900_000, 14)) });
    let gone = Server::start(Site { statuses: vec![404; 99], ..Site::of("") });
    let line = format!(
        "download {} --part-url {} --output m --min-segment-size 65536 --sha256 {}",
        gone.url("f"),
        good.url("f"),
        sha256(&content)
    );
    s.z(&line).ok();
    assert_eq!(s.read("m"), content);
    let line = format!(
        "download {} --part-url {} --output w --min-segment-size 65536 --sha256 {}",
        good.url("f"),
        wrong.url("f"),
        sha256(&content)
    );
    s.z(&line).ok();
    assert_eq!(s.read("w"), content);
    // The first has something else, also when it is asked for all of it: the next is.
    let line = format!(
        "download {} --part-url {} --output v --min-segment-size 65536 --sha256 {}",
        wrong.url("f"),
        good.url("f"),
        sha256(&content)
    );
    s.z(&line).ok();
    assert_eq!(s.read("v"), content);
    // None of them has it: what the last one has is kept, and the others are named.
    let line = format!(
        "download {} --part-url {} --output u --min-segment-size 65536 --sha256 {}",
        wrong.url("f"),
        good.url("f"),
        "0".repeat(64)
    );
    let output = s.z(&line).code(5);
    let told = output.err();
    let told = told.lines().find(|line| line.starts_with("zccache")).unwrap();
    for part in [wrong.url("f"), good.url("f"), sha256(&content), sha256(&noise(900_000, 14))] {
        assert!(told.contains(&part), "{told}");
    }
    assert_eq!(s.read(format!("u.{}.bad", &sha256(&content)[..12])), content);
    let line = format!("download {} --part-url {} --output n", gone.url("f"), good.url("f"));
    s.z(&line).ok();
    assert_eq!(s.read("n"), content);
}

/// A SOCKS 5 proxy that asks for no password; gives its port.
fn socks_proxy() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = |mut client: TcpStream| -> std::io::Result<()> {
        let mut head = [0; 2];
        client.read_exact(&mut head)?;
        client.read_exact(&mut vec![0; head[1].into()])?;
        client.write_all(&[5, 0])?;
        // To an address of IPv4.
        let mut wanted = [0; 10];
        client.read_exact(&mut wanted)?;
        assert_eq!(wanted[..4], [5, 1, 0, 1]);
        let port = u16::from_be_bytes([wanted[8], wanted[9]]);
        let mut server = TcpStream::connect(("127.0.0.1", port))?;
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        std::io::copy(&mut server, &mut client)?;
        client.shutdown(std::net::Shutdown::Both)
    };
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || serve(client));
        }
    });
    port
}

#[test]
fn through_a_socks_proxy() {
    let mut s = Sandbox::new();
    let content = noise(300_000, 21);
    let server = Server::start(Site::of(content.clone()));
    s.set("all_proxy", format!("socks5://127.0.0.1:{}", socks_proxy()));
    s.z(&format!("download {} --output f --min-segment-size 65536", server.url("f"))).ok();
    assert_eq!(s.read("f"), content);
    s.set("all_proxy", "socks5://127.0.0.1:1");
    let output = s.z(&format!("download {} --output g", server.url("f"))).code(11);
    assert!(output.err().contains("by the proxy 127.0.0.1:1"), "{}", output.err());
    s.set("all_proxy", "gopher://127.0.0.1:1");
    let output = s.z(&format!("download {} --output g", server.url("f"))).code(11);
    let told = output.err();
    assert!(told.contains("all_proxy") && told.contains("socks5://HOST:PORT"), "{told}");
    assert!(!s.exists("g"));
}

/// A small disk of its own; None where that is not allowed here.
struct Disk(PathBuf);

impl Disk {
    fn new(s: &Sandbox, bytes: u64) -> Option<Disk> {
        let path = s.aside("disk");
        let size = format!("-osize={bytes}");
        let words = ["mount", "-t", "tmpfs", &size, "tmpfs", path.to_str().unwrap()];
        let mounted = s.bare(&words).status.success();
        mounted.then_some(Disk(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_no_target() {
    if !may_mount("download::a_full_disk_is_said_and_leaves_no_target") {
        return;
    }
    let s = Sandbox::new();
    let Some(disk) = Disk::new(&s, 2 << 20) else {
        return eprintln!("skipped: no disk can be mounted");
    };
    let content = noise(5 << 20, 15);
    for lie in [Lie::None, Lie::NoLength] {
        let server = Server::start(Site { lie, ..Site::of(content.clone()) });
        let target = disk.0.join("f");
        let output =
            s.z(&format!("download {} --output {}", server.url("f"), target.display())).code(7);
        assert!(output.err().contains(disk.0.to_str().unwrap()), "{}", output.err());
        assert!(!target.exists());
    }
    // What does not fit when unpacked.
    if have("gzip") {
        s.write("big", vec![7; 5 << 20]);
        s.bare("gzip big").ok();
        let server = Server::start(Site::of(s.read("big.gz")));
        let into = disk.0.join("d");
        let output = s
            .z(&format!("download {} --unarchive {}", server.url("big.gz"), into.display()))
            .code(7);
        assert!(!into.exists() && output.err().contains("space"), "{}", output.err());
        assert!(
            names(&disk.0).iter().all(|name| !name.contains("unpacking")),
            "{:?}",
            names(&disk.0)
        );
    }
}

#[test]
fn a_bar_on_a_terminal() {
    if !have("script") {
        return;
    }
    let s = Sandbox::new();
    let content = noise(1_000_000, 16);
    let server = Server::start(Site { pause: Duration::from_millis(30), ..Site::of(content) });
    let line = format!("{ZCCACHE} download {} --output f --max-connections 1", server.url("f"));
    let out = s.bare(&["script", "-qec", &line, "/dev/null"]).ok().out();
    assert!(out.contains("% of 976.6 KiB") && out.contains("\r\x1b[K"), "{out}");
    assert!(out.contains("path="), "{out}");
}
