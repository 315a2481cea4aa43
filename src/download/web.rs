//! One request to a server, and what the answer means: which bytes of which version come.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::fault::{Fault, FaultKind};
use super::order::{Surroundings, Url};
use crate::sys::names;

/// A server that says nothing for this long is gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// What is read from a connection at a time, at most.
pub const BUFFER: usize = 256 << 10;

/// Sends requests of one download. Clones share their connections.
#[derive(Clone)]
pub struct Web {
    plain: Agent,
    secure: Agent,
}

/// What tells one version of a file from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Validator {
    /// A strong entity tag.
    Tag(String),
    Modified(String),
}

impl Validator {
    fn of(headers: &HeaderMap) -> Option<Validator> {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.trim().to_owned());
        match text("etag") {
            // A weak tag promises the same meaning, not the same bytes.
            Some(tag) if tag.starts_with('"') => Some(Validator::Tag(tag)),
            Some(_) => None,
            None => text("last-modified").map(Validator::Modified),
        }
    }

    fn text(&self) -> &str {
        match self {
            Validator::Tag(text) | Validator::Modified(text) => text,
        }
    }
}

/// Which part to ask for.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    /// All of it, without a word about ranges.
    Everything,
    /// All of it, as a range: so the answer tells whether there are ranges, and of what.
    FromStart,
    /// `[from, to)`, if it still is this version.
    Between(u64, u64, Option<&'a Validator>),
}

/// An answer with content.
pub struct Content {
    pub body: ureq::BodyReader<'static>,
    pub version: Option<Validator>,
    pub shape: Shape,
}

/// What the content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// The file's bytes in `[start, end)`; it has `total`.
    Range { start: u64, end: u64, total: u64 },
    /// The whole file. None: the server doesn't say how long it is.
    Whole(Option<u64>),
    /// The whole file, compressed on the way.
    Gzip,
}

/// Why there is no content.
#[derive(Debug)]
pub enum Trouble {
    /// It may be better in a while; the server may have said how long.
    Passing(String, Option<Duration>),
    /// Nothing there at this offset: the file is empty, or another one by now.
    NoSuchRange,
    /// It is what it was.
    NotModified,
    Final(Fault),
}

impl Web {
    /// Fails when a proxy or certificate variable makes no sense.
    pub fn new(surroundings: &Surroundings) -> Result<Web, Fault> {
        names::prepare();
        let roots = roots(surroundings)?;
        let secure =
            agent(proxy(surroundings, &["https_proxy", "HTTPS_PROXY"])?, Some(roots.clone()));
        let plain = agent(proxy(surroundings, &["http_proxy", "HTTP_PROXY"])?, Some(roots));
        Ok(Web { plain, secure })
    }

    /// Breaks off everything under way and to come.
    pub fn shut_down(&self) {
        self.plain.clone().shutdown();
        self.secure.clone().shutdown();
    }

    /// Asks for a part.
    pub fn get(&self, url: &Url, wanted: Wanted<'_>) -> Result<Content, Trouble> {
        let (range, version) = match wanted {
            Wanted::Everything => (None, None),
            Wanted::FromStart => (Some("bytes=0-".to_owned()), None),
            Wanted::Between(from, to, version) => {
                (Some(format!("bytes={from}-{}", to - 1)), version)
            }
        };
        let mut headers = Vec::new();
        if let Some(range) = &range {
            headers.push(("Range", range.as_str()));
            headers.extend(version.map(|version| ("If-Range", version.text())));
        }
        let response = self.ask(url, &headers)?;
        let headers = response.headers();
        let encoding = headers.get("content-encoding").map(|value| value.as_bytes());
        let gzip = match encoding {
            None | Some(b"" | b"identity") => false,
            // A name that says gzip is a file that is gzip: nothing was done on the way.
            Some(b"gzip" | b"x-gzip") => {
                !url.path().ends_with(".gz") && !url.path().ends_with(".tgz")
            }
            Some(other) => {
                let other = String::from_utf8_lossy(other).into_owned();
                let text = format!("{url}: the server sends it as {other}, which nobody asked for");
                return Err(Trouble::Final(Fault::new(FaultKind::Server, text)));
            }
        };
        let version = Validator::of(headers);
        let shape = match response.status() {
            StatusCode::PARTIAL_CONTENT if range.is_some() => {
                let told = headers.get("content-range").and_then(|value| value.to_str().ok());
                match told.and_then(content_range) {
                    // Ranges of something compressed are of no use.
                    Some(_) if gzip => return self.get(url, Wanted::Everything),
                    Some((start, end, total)) => Shape::Range { start, end, total },
                    None => return self.get(url, Wanted::Everything),
                }
            }
            StatusCode::PARTIAL_CONTENT => {
                return Err(passing(format!("{url}: a part came where all was asked for")));
            }
            _ if gzip => Shape::Gzip,
            _ => Shape::Whole(response.body().content_length()),
        };
        Ok(Content { body: response.into_body().into_reader(), version, shape })
    }

    /// Whether the file still is this version.
    pub fn is_current(&self, url: &Url, version: &Validator) -> Result<bool, Trouble> {
        let name = match version {
            Validator::Tag(_) => "If-None-Match",
            Validator::Modified(_) => "If-Modified-Since",
        };
        match self.ask(url, &[(name, version.text())]) {
            Ok(response) => Ok(Validator::of(response.headers()).as_ref() == Some(version)),
            Err(Trouble::NotModified) => Ok(true),
            Err(trouble) => Err(trouble),
        }
    }

    fn ask(&self, url: &Url, headers: &[(&str, &str)]) -> Result<Response<Body>, Trouble> {
        let agent = if url.is_https() { &self.secure } else { &self.plain };
        let mut request = agent.get(url.as_str()).header("Accept-Encoding", "identity");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            request.call().map_err(|error| of_error(url, error, used_proxy(agent, url)))?;
        let status = response.status();
        let says = |words: &str| format!("{url}: the server says {status}{words}");
        match status.as_u16() {
            200 | 206 => Ok(response),
            304 => Err(Trouble::NotModified),
            416 => Err(Trouble::NoSuchRange),
            408 | 425 | 429 | 500 | 502 | 503 | 504 => {
                let after = response.headers().get("retry-after");
                let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
                Err(Trouble::Passing(says(""), after.map(Duration::from_secs)))
            }
            _ => Err(Trouble::Final(Fault::new(FaultKind::Server, says("")))),
        }
    }
}

fn passing(text: String) -> Trouble {
    Trouble::Passing(text, None)
}

fn agent(proxy: Option<Proxy>, roots: Option<RootCerts>) -> Agent {
    let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build();
    Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("zccache/", env!("CARGO_PKG_VERSION")))
        .accept("*/*")
        .proxy(proxy)
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_MAX))
        .timeout_recv_response(Some(SILENCE_MAX))
        .timeout_per_read(Some(SILENCE_MAX))
        .timeout_per_write(Some(SILENCE_MAX))
        .input_buffer_size(BUFFER)
        .max_idle_connections_per_host(32)
        .build()
        .into()
}

/// The system's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`; the well-known ones
/// where the system has none.
fn roots(surroundings: &Surroundings) -> Result<RootCerts, Fault> {
    let file = surroundings.variable(&["SSL_CERT_FILE"]);
    let folder = surroundings.variable(&["SSL_CERT_DIR"]);
    let found = if file.is_some() || folder.is_some() {
        rustls_native_certs::load_certs_from_paths(
            file.map(AsRef::as_ref),
            folder.map(AsRef::as_ref),
        )
    } else {
        rustls_native_certs::load_native_certs()
    };
    if let (true, Some(named)) = (found.certs.is_empty(), file.or(folder)) {
        let why = found.errors.first().map_or("no certificate in it".to_owned(), |e| e.to_string());
        let text = format!("SSL_CERT_FILE or SSL_CERT_DIR, {named}: {why}");
        return Err(Fault::new(FaultKind::Network, text));
    }
    if found.certs.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let certificates: Vec<_> =
        found.certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(RootCerts::Specific(std::sync::Arc::new(certificates)))
}

fn proxy(surroundings: &Surroundings, names: &[&str]) -> Result<Option<Proxy>, Fault> {
    let named = [names, &["all_proxy", "ALL_PROXY"]].concat();
    let found = named.iter().find_map(|name| Some((name, surroundings.variable(&[name])?)));
    let Some((name, text)) = found else { return Ok(None) };
    let bad = |_| {
        // Not its value: there may be a password in it.
        let text = format!(
            "{name}: a proxy that is not understood; http://HOST:PORT, socks4://HOST:PORT and socks5://HOST:PORT are"
        );
        Fault::new(FaultKind::Network, text)
    };
    let whole = Proxy::new(text).map_err(bad)?;
    let mut builder = Proxy::builder(whole.protocol()).host(whole.host()).port(whole.port());
    if let Some(user) = whole.username() {
        builder = builder.username(user);
    }
    if let Some(password) = whole.password() {
        builder = builder.password(password);
    }
    let without = surroundings.variable(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
    for name in without.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        builder = builder.no_proxy(name);
    }
    builder.build().map(Some).map_err(bad)
}

/// `bytes FIRST-LAST/TOTAL`, as start, end and total.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, last) = range.split_once('-')?;
    let (start, last, total): (u64, u64, u64) =
        (start.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()?);
    (start <= last && last < total).then(|| (start, last + 1, total))
}

/// The proxy that requests for this go through, without user and password.
fn used_proxy(agent: &Agent, url: &Url) -> Option<String> {
    let proxy = agent.config().proxy()?;
    let uri = url.as_str().parse().ok()?;
    (!proxy.is_no_proxy(&uri)).then(|| format!("{}:{}", proxy.host(), proxy.port()))
}

fn of_error(url: &Url, error: ureq::Error, proxy: Option<String>) -> Trouble {
    use ureq::Error::*;
    let by = proxy.map(|proxy| format!(" (by the proxy {proxy})")).unwrap_or_default();
    let url = format!("{url}{by}");
    let text = match &error {
        HostNotFound => format!("{url}: the host is not known"),
        Timeout(_) => format!("{url}: the server does not answer"),
        // The handshake's errors come as errors of reading.
        Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            format!("{url}: {error}; SSL_CERT_FILE names other authorities to trust")
        }
        error => format!("{url}: {error}"),
    };
    let network = || Trouble::Final(Fault::new(FaultKind::Network, text.clone()));
    match error {
        Io(error) if error.kind() == io::ErrorKind::InvalidData => network(),
        Io(_) | Timeout(_) | HostNotFound | ConnectionFailed | Protocol(_) => passing(text),
        ConnectProxyFailed(_) => passing(text),
        BadUri(_) | Http(_) => Trouble::Final(Fault::new(FaultKind::Url, text)),
        TooManyRedirects | RedirectFailed => Trouble::Final(Fault::new(FaultKind::Server, text)),
        _ => network(),
    }
}

/// Reads what comes until the buffer is full or, from a slow server, a moment has passed: TLS brings 16 KiB at a
/// time, and hands that each write so little keep each other waiting at the file. Gives how much came, and
/// how the body ended, if it did.
pub fn fill(body: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Result<()>>) {
    const MOMENT: Duration = Duration::from_millis(100);
    let begin = Instant::now();
    let mut filled = 0;
    while filled < buffer.len() {
        match body.read(&mut buffer[filled..]) {
            Ok(0) => return (filled, Some(Ok(()))),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(Err(error))),
        }
        if begin.elapsed() >= MOMENT {
            break;
        }
    }
    (filled, None)
}

/// What is read of a body that fails: in words.
pub fn read_error(url: &Url, error: &io::Error) -> String {
    format!("{url}: the connection broke off: {error}")
}

/// Undoes what was done on the way.
pub fn unzipped(body: impl Read) -> impl Read {
    flate2::read::MultiGzDecoder::new(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(content_range("bytes 0-9/10"), Some((0, 10, 10)));
        assert_eq!(content_range("bytes 5-5/6"), Some((5, 6, 6)));
        for bad in ["", "bytes */10", "bytes 0-9/*", "bytes 9-0/10", "bytes 0-10/10", "lines 0-1/2"]
        {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_buffer_is_filled_by_many_small_reads() {
        let mut buffer = [0; 10];
        let mut body = (&b"abcd"[..]).chain(&b"efgh"[..]).chain(&b"ijkl"[..]);
        let (count, ended) = fill(&mut body, &mut buffer);
        assert_eq!((count, &buffer[..], ended.is_none()), (10, &b"abcdefghij"[..], true));
        let (count, ended) = fill(&mut body, &mut buffer);
        assert!(count == 2 && matches!(ended, Some(Ok(()))));
        // What came before it broke off is not lost.
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        let (count, ended) = fill(&mut (&b"abc"[..]).chain(Broken), &mut buffer);
        assert!(count == 3 && matches!(ended, Some(Err(_))));
    }

    #[test]
    fn weak_tags_are_no_validators() {
        let mut headers = HeaderMap::new();
        headers.insert("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT".parse().unwrap());
        assert!(matches!(Validator::of(&headers), Some(Validator::Modified(_))));
        headers.insert("etag", "W/\"a\"".parse().unwrap());
        assert_eq!(Validator::of(&headers), None);
        headers.insert("etag", "\"a\"".parse().unwrap());
        assert_eq!(Validator::of(&headers), Some(Validator::Tag("\"a\"".to_owned())));
    }
}
