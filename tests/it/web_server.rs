//! A web server in a thread of the test, as wrong as the test wants it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What it does to a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lie {
    None,
    /// Everything, whatever was asked for.
    NoRanges,
    /// Ranges begin a byte late.
    WrongStart,
    /// Says that there is more than it sends.
    TooLong,
    /// Compresses on the way.
    Gzip,
    /// Neither length nor chunks.
    NoLength,
    /// In chunks, of which the last is missing.
    ChunksCut,
    /// In chunks.
    Chunks,
    /// Ranges of the first request only; everything from then on.
    RangesOnce,
}

#[derive(Clone)]
pub struct Site {
    pub content: Arc<Vec<u8>>,
    pub tag: Option<String>,
    pub lie: Lie,
    /// Every answer ends after so many bytes.
    pub cut: Option<usize>,
    /// So long a pause after each 64 KiB.
    pub pause: Duration,
    /// Answered before anything else, one for each request.
    pub statuses: Vec<u16>,
    /// The site that takes its place after so many requests.
    pub then: Option<(usize, Box<Site>)>,
    /// The path that has the content; all paths where it is None.
    pub path: Option<&'static str>,
}

impl Site {
    pub fn of(content: impl Into<Vec<u8>>) -> Site {
        Site {
            content: Arc::new(content.into()),
            tag: Some("\"one\"".to_owned()),
            lie: Lie::None,
            cut: None,
            pause: Duration::ZERO,
            statuses: Vec::new(),
            then: None,
            path: None,
        }
    }
}

/// What was asked, in order.
#[derive(Clone, Debug)]
pub struct Asked {
    pub range: Option<String>,
    pub conditional: bool,
    pub sent: usize,
    pub status: u16,
}

pub struct Server {
    address: SocketAddr,
    site: Arc<Mutex<Site>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(site: Site) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            site: Arc::new(Mutex::new(site)),
            asked: Arc::default(),
            connections: Arc::default(),
        };
        let (site, asked) = (server.site.clone(), server.asked.clone());
        let connections = server.connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                connections.fetch_add(1, Ordering::Relaxed);
                let (site, asked) = (site.clone(), asked.clone());
                thread::spawn(move || serve(stream, &site, &asked));
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub fn set(&self, change: impl FnOnce(&mut Site)) {
        change(&mut self.site.lock().unwrap());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn sent(&self) -> usize {
        self.asked().iter().map(|asked| asked.sent).sum()
    }
}

fn serve(stream: TcpStream, site: &Mutex<Site>, asked: &Mutex<Vec<Asked>>) {
    let Ok(reading) = stream.try_clone() else { return };
    let mut reading = BufReader::new(reading);
    let mut stream = stream;
    // An error is the client's leaving.
    while let Ok(true) = answer(&mut reading, &mut stream, site, asked) {}
}

fn answer(
    reading: &mut impl BufRead,
    stream: &mut TcpStream,
    site: &Mutex<Site>,
    asked: &Mutex<Vec<Asked>>,
) -> std::io::Result<bool> {
    let mut line = String::new();
    if reading.read_line(&mut line)? == 0 {
        return Ok(false);
    }
    let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let (mut range, mut if_range, mut condition) = (None, None, None);
    loop {
        let mut line = String::new();
        reading.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => range = Some(value.to_owned()),
            "if-range" => if_range = Some(value.to_owned()),
            "if-none-match" => condition = Some(value.to_owned()),
            _ => {}
        }
    }
    let (now, number) = {
        let mut site = site.lock().unwrap();
        let mut asked = asked.lock().unwrap();
        if let Some((after, _)) = &site.then
            && asked.len() >= *after
            && let Some((_, next)) = site.then.take()
        {
            *site = *next;
        }
        let status = if site.statuses.is_empty() { 0 } else { site.statuses.remove(0) };
        let conditional = condition.is_some();
        asked.push(Asked { range: range.clone(), conditional, sent: 0, status });
        (site.clone(), asked.len() - 1)
    };
    let code = asked.lock().unwrap()[number].status;
    let told = |status: u16| asked.lock().unwrap()[number].status = status;
    if code != 0 || now.path.is_some_and(|known| known != path) {
        let code = if code == 0 { 404 } else { code };
        told(code);
        write!(stream, "HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    }
    let tag = now.tag.as_ref().map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
    if condition.is_some() && condition == now.tag {
        told(304);
        write!(stream, "HTTP/1.1 304 Same\r\n{tag}\r\n")?;
        return Ok(true);
    }
    let size = now.content.len();
    let is_current = if_range.is_none() || if_range == now.tag;
    let wanted = range.filter(|_| is_current).and_then(|range| {
        let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
        let to = to.parse().map_or(size, |to: usize| to + 1);
        Some((from.parse::<usize>().ok()?, to.min(size)))
    });
    let no_ranges = match now.lie {
        Lie::NoRanges | Lie::TooLong | Lie::NoLength | Lie::Chunks | Lie::ChunksCut => true,
        Lie::RangesOnce => number > 0,
        _ => false,
    };
    let (body, head) = match wanted.filter(|_| !no_ranges) {
        Some((from, _)) if from >= size => {
            told(416);
            write!(
                stream,
                "HTTP/1.1 416 No\r\nContent-Range: bytes */{size}\r\nContent-Length: 0\r\n\r\n"
            )?;
            return Ok(true);
        }
        Some((from, to)) => {
            let from = if now.lie == Lie::WrongStart { (from + 1).min(to - 1) } else { from };
            told(206);
            let last = to - 1;
            let head =
                format!("HTTP/1.1 206 Part\r\nContent-Range: bytes {from}-{last}/{size}\r\n");
            (now.content[from..to].to_vec(), head)
        }
        None => {
            told(200);
            (now.content.to_vec(), "HTTP/1.1 200 OK\r\n".to_owned())
        }
    };
    let mut length = body.len();
    let mut more = String::new();
    let body = match now.lie {
        Lie::Gzip => {
            let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            zipped.write_all(&body)?;
            more = "Content-Encoding: gzip\r\n".to_owned();
            let zipped = zipped.finish()?;
            length = zipped.len();
            zipped
        }
        Lie::Chunks | Lie::ChunksCut => {
            let mut chunks = Vec::new();
            for chunk in body.chunks(1000) {
                write!(chunks, "{:x}\r\n", chunk.len())?;
                chunks.extend_from_slice(chunk);
                chunks.extend_from_slice(b"\r\n");
            }
            if now.lie == Lie::Chunks {
                chunks.extend_from_slice(b"0\r\n\r\n");
            }
            chunks
        }
        _ => body,
    };
    more += &match now.lie {
        Lie::NoLength => "Connection: close\r\n".to_owned(),
        Lie::Chunks | Lie::ChunksCut => "Transfer-Encoding: chunked\r\n".to_owned(),
        Lie::TooLong => format!("Content-Length: {}\r\n", length + 10),
        _ => format!("Content-Length: {length}\r\n"),
    };
    write!(stream, "{head}{tag}{more}\r\n")?;
    let cut = now.cut.unwrap_or(usize::MAX).min(body.len());
    for chunk in body[..cut].chunks(64 << 10) {
        stream.write_all(chunk)?;
        asked.lock().unwrap()[number].sent += chunk.len();
        if !now.pause.is_zero() {
            thread::sleep(now.pause);
        }
    }
    let whole = cut == body.len();
    Ok(whole && !matches!(now.lie, Lie::NoLength | Lie::TooLong | Lie::ChunksCut))
}
