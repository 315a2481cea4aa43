//! What is asked for: where from, where to, what it must be, how to fetch it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fault::{Fault, FaultKind};
use super::unpack::format::ArchiveFormat;

/// An address that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Url(String);

impl Url {
    /// Understands `http://…` and `https://…`.
    pub fn parse(text: &str) -> Result<Url, Fault> {
        let bad = |why: &str| Fault::new(FaultKind::Url, format!("{text}: {why}"));
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad("not a URL: it begins with http:// or https://"));
        };
        if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(bad(&format!("the scheme {scheme} is not known: use http or https")));
        }
        // What follows # is for browsers.
        let rest = rest.split('#').next().unwrap_or(rest);
        let url = format!("{}://{rest}", scheme.to_ascii_lowercase());
        match url.parse::<ureq::http::Uri>() {
            Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(Url(url)),
            Ok(_) => Err(bad("there is no host in it")),
            Err(error) => Err(bad(&format!("not a URL: {error}"))),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// The path, without query.
    pub fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        path.split('?').next().unwrap_or(path)
    }

    /// The last part of the path, as a file can be called. None: there is none.
    fn file_name(&self) -> Option<String> {
        let name = self.path().rsplit('/').next().unwrap_or_default();
        let name: String = name.chars().filter(|c| !c.is_control()).take(120).collect();
        (!name.is_empty() && name != "." && name != "..").then_some(name)
    }
}

impl fmt::Display for Url {
    /// Without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else { return f.write_str(&self.0) };
        let host_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let host_start = rest[..host_end].rfind('@').map_or(0, |at| at + 1);
        write!(f, "{scheme}://{}", &rest[host_start..])
    }
}

/// Where the bytes come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Source {
    /// One file. The others hold the same file.
    Whole { url: Url, mirrors: Vec<Url> },
    /// A file that was cut: these in a row.
    Split(Vec<Url>),
}

impl Source {
    /// As the command line gives it: parts beside a URL are its mirrors, parts alone are a row.
    pub fn of(url: Option<&str>, parts: &[String]) -> Result<Source, Fault> {
        let parts: Vec<Url> =
            parts.iter().map(|part| Url::parse(part)).collect::<Result<_, _>>()?;
        match url {
            Some(url) => Ok(Source::Whole { url: Url::parse(url)?, mirrors: parts }),
            None if parts.is_empty() => {
                Err(Fault::new(FaultKind::Url, "a URL to download is needed"))
            }
            None => Ok(Source::Split(parts)),
        }
    }

    /// The pieces in order, each with all the addresses it can be had from.
    pub fn pieces(&self) -> Vec<Vec<Url>> {
        match self {
            Source::Whole { url, mirrors } => {
                vec![[std::slice::from_ref(url), mirrors].concat()]
            }
            Source::Split(urls) => urls.iter().map(|url| vec![url.clone()]).collect(),
        }
    }

    /// Those that each have all of the file: one, where it was cut.
    pub fn servers(&self) -> Vec<&Url> {
        match self {
            Source::Whole { url, mirrors } => std::iter::once(url).chain(mirrors).collect(),
            Source::Split(urls) => urls.first().into_iter().collect(),
        }
    }

    pub fn first(&self) -> Option<&Url> {
        match self {
            Source::Whole { url, .. } => Some(url),
            Source::Split(urls) => urls.first(),
        }
    }

    /// What the file is called: by the address, without the number of a part.
    fn file_name(&self) -> String {
        let name = self.first().and_then(Url::file_name);
        let name = match (self, name) {
            (Source::Split(_), Some(name)) => without_number(&name).to_owned(),
            (_, Some(name)) => name,
            _ => "download".to_owned(),
        };
        if name.is_empty() { "download".to_owned() } else { name }
    }

    /// A name for this source: the same for the same addresses.
    fn key(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for piece in self.pieces() {
            for url in piece {
                hasher.update(url.as_str().as_bytes());
                hasher.update(b"\n");
            }
            hasher.update(b"\0");
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// Where the file is kept when nobody says: the same place for the same source.
    pub fn cache_path(&self, root: &Path) -> PathBuf {
        root.join("downloads").join(self.key()).join(self.file_name())
    }
}

/// `a.tar.xz.001` and `a.tar.xz.part1` are parts of `a.tar.xz`.
fn without_number(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, end)) => {
            let digits = end.trim_start_matches("part").trim_start_matches(['-', '_']);
            let numbered = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if numbered && !stem.is_empty() { stem } else { name }
        }
        None => name,
    }
}

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sha256([u8; 32]);

impl Sha256 {
    pub const fn new(bytes: [u8; 32]) -> Sha256 {
        Sha256(bytes)
    }

    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Sha256, Fault> {
        let mut bytes = [0; 32];
        let hex = text.as_bytes();
        let bad = |why: String| Fault::new(FaultKind::Hash, format!("sha256 {text}: {why}"));
        if hex.len() != 64 {
            return Err(bad(format!("64 hexadecimal digits are needed, not {}", hex.len())));
        }
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks(2)) {
            let digits = std::str::from_utf8(pair).ok();
            let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            // from_str_radix takes a sign as well.
            let value = value.filter(|_| pair.iter().all(u8::is_ascii_hexdigit));
            *byte = value.ok_or_else(|| bad("it has other than hexadecimal digits".to_owned()))?;
        }
        Ok(Sha256(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = Fault;

    fn try_from(text: String) -> Result<Sha256, Fault> {
        Sha256::parse(&text)
    }
}

impl From<Sha256> for String {
    fn from(hash: Sha256) -> String {
        hash.to_string()
    }
}

/// How to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Into how many ranges the file is cut; None: as its size has it.
    pub parts: Option<u32>,
    /// Connections at a time.
    pub connections: u32,
    /// No range is cut smaller than this, in bytes.
    pub min_segment: u64,
}

impl Effort {
    const CONNECTIONS_MAX: u32 = 32;
    const PARTS_MAX: u32 = 1024;

    /// From what was asked for, where it was; nothing asked for makes sense.
    pub fn new(parts: Option<u32>, connections: Option<u32>, min_segment: Option<u64>) -> Effort {
        let connections = connections.or(parts).unwrap_or(4).clamp(1, Effort::CONNECTIONS_MAX);
        Effort {
            parts: parts.map(|parts| parts.clamp(1, Effort::PARTS_MAX)),
            connections,
            min_segment: min_segment.unwrap_or(8 << 20).max(64 << 10),
        }
    }

    /// Into how many ranges a file of this size is cut.
    pub fn parts_of(&self, size: u64) -> u32 {
        /// Small enough that the start of the file grows solid, and is hashed, while the rest comes.
        const PART: u64 = 32 << 20;
        let by_size = u32::try_from(size / PART).unwrap_or(u32::MAX);
        self.parts.unwrap_or(by_size.clamp(self.connections, Effort::PARTS_MAX))
    }
}

/// What of the asking process's surroundings a download goes by; the daemon's own may be older.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`, `SSL_CERT_FILE`, `SSL_CERT_DIR` and the
    /// like, as set.
    pub variables: Vec<(String, String)>,
    pub umask: u32,
}

impl Surroundings {
    /// Those that count; a name in small letters first, as other programs have it.
    const NAMES: [&str; 10] = [
        "http_proxy",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
        "HTTP_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    ];

    /// This process's own.
    pub fn own() -> Surroundings {
        let set = |name: &&str| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
            Some((name.to_string(), value))
        };
        Surroundings {
            variables: Surroundings::NAMES.iter().filter_map(set).collect(),
            umask: own_umask(),
        }
    }

    /// The first of these that is set.
    pub fn variable(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| {
            self.variables.iter().find(|(set, _)| set == name).map(|(_, value)| value.as_str())
        })
    }
}

/// Read without setting it, which other threads of a program would notice.
fn own_umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

/// A download as the daemon is asked for it. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub source: Source,
    pub target: PathBuf,
    /// Where to unpack it, and as what.
    pub expand: Option<(PathBuf, ArchiveFormat)>,
    pub sha256: Option<Sha256>,
    pub effort: Effort,
    /// Fetch even what is there.
    pub force: bool,
    pub surroundings: Surroundings,
}

impl Order {
    /// The download's name: the same for the same source and target.
    pub fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.source.key().as_bytes());
        hasher.update(self.target.as_os_str().as_encoded_bytes());
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// Whoever asks for one gets the other.
    pub fn is_same(&self, other: &Order) -> bool {
        self.is_twin(other) && self.target == other.target && self.expand == other.expand
    }

    /// The same bytes are wanted.
    pub fn is_twin(&self, other: &Order) -> bool {
        self.source == other.source && self.sha256 == other.sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = Url::parse("HTTPS://u:p@host:8/a/b.tar.xz?q#f").unwrap();
        assert_eq!(url.as_str(), "https://u:p@host:8/a/b.tar.xz?q");
        assert_eq!(
            (url.to_string().as_str(), url.path()),
            ("https://host:8/a/b.tar.xz?q", "/a/b.tar.xz")
        );
        for bad in ["", "x", "ftp://h/f", "file:///f", "http://", "http:///f", "http://a b/"] {
            assert_eq!(Url::parse(bad).unwrap_err().kind, FaultKind::Url, "{bad}");
        }
    }

    #[test]
    fn cache_paths_are_deterministic() {
        let root = Path::new("/r");
        let of = |url: Option<&str>, parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
            Source::of(url, &parts).unwrap().cache_path(root)
        };
        let one = of(Some("http://h/a.zip?x=1"), &[]);
        assert_eq!(one, of(Some("http://h/a.zip?x=1"), &[]));
        assert_ne!(one, of(Some("http://h/a.zip?x=2"), &[]));
        assert!(one.starts_with("/r/downloads") && one.ends_with("a.zip"));
        assert!(of(Some("http://h/"), &[]).ends_with("download"));
        assert!(
            of(None, &["http://h/a.tar.xz.001", "http://h/a.tar.xz.002"]).ends_with("a.tar.xz")
        );
        assert!(of(None, &["http://h/a.zip.part1"]).ends_with("a.zip"));
    }

    #[test]
    fn hashes() {
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Sha256::parse(text).unwrap().to_string(), text);
        assert_eq!(Sha256::parse(&text.to_uppercase()).unwrap().to_string(), text);
        for bad in ["", "0123456789abcdef", &text.replace('e', "g"), &text.replace("e3", "+3")] {
            assert_eq!(Sha256::parse(bad).unwrap_err().kind, FaultKind::Hash, "{bad}");
        }
    }
}
