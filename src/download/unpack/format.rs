//! What kind of archive a file is: by the name the user gave, or by its first bytes.

use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::fault::{Fault, FaultKind};

/// What to unpack a file as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveFormat {
    /// What its bytes say.
    #[default]
    Auto,
    Tar,
    TarGz,
    TarXz,
    TarZst,
    TarBz2,
    Zip,
    SevenZip,
    /// One compressed file, not an archive.
    Gz,
    Xz,
    Zst,
    Bz2,
}

impl ArchiveFormat {
    pub const NAMES: [&str; 12] = [
        "auto", "tar", "tar.gz", "tar.xz", "tar.zst", "tar.bz2", "zip", "7z", "gz", "xz", "zst",
        "bz2",
    ];
    const ALL: [ArchiveFormat; 12] = [
        ArchiveFormat::Auto,
        ArchiveFormat::Tar,
        ArchiveFormat::TarGz,
        ArchiveFormat::TarXz,
        ArchiveFormat::TarZst,
        ArchiveFormat::TarBz2,
        ArchiveFormat::Zip,
        ArchiveFormat::SevenZip,
        ArchiveFormat::Gz,
        ArchiveFormat::Xz,
        ArchiveFormat::Zst,
        ArchiveFormat::Bz2,
    ];

    /// By one of `NAMES`.
    pub fn parse(name: &str) -> Option<ArchiveFormat> {
        let at = ArchiveFormat::NAMES.iter().position(|known| *known == name)?;
        Some(ArchiveFormat::ALL[at])
    }

    fn kind(self) -> Option<Kind> {
        use ArchiveFormat::*;
        Some(match self {
            Auto => return None,
            Tar => Kind::Tar(Packing::Plain),
            TarGz => Kind::Tar(Packing::Gz),
            TarXz => Kind::Tar(Packing::Xz),
            TarZst => Kind::Tar(Packing::Zst),
            TarBz2 => Kind::Tar(Packing::Bz2),
            Zip => Kind::Zip,
            SevenZip => Kind::SevenZip,
            Gz => Kind::Single(Packing::Gz),
            Xz => Kind::Single(Packing::Xz),
            Zst => Kind::Single(Packing::Zst),
            Bz2 => Kind::Single(Packing::Bz2),
        })
    }
}

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tar(Packing),
    Single(Packing),
    Zip,
    SevenZip,
}

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gz,
    Xz,
    Zst,
    Bz2,
}

impl Packing {
    fn of(start: &[u8]) -> Packing {
        match start {
            [0x1f, 0x8b, ..] => Packing::Gz,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zst,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Packing::Bz2,
            _ => Packing::Plain,
        }
    }

    pub(super) fn suffix(self) -> Option<&'static str> {
        match self {
            Packing::Plain => None,
            Packing::Gz => Some("gz"),
            Packing::Xz => Some("xz"),
            Packing::Zst => Some("zst"),
            Packing::Bz2 => Some("bz2"),
        }
    }

    /// What the stream holds.
    pub(super) fn unpacked<'a>(self, from: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Packing::Plain => Box::new(from),
            Packing::Gz => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
            Packing::Xz => Box::new(lzma_rust2::XzReader::new(from, true)),
            Packing::Zst => Box::new(zstd::Decoder::with_buffer(from)?),
            Packing::Bz2 => Box::new(bzip2::bufread::MultiBzDecoder::new(from)),
        })
    }
}

/// What a file is. The bytes decide where the user does not; its name where they can't.
pub(super) fn kind(asked: ArchiveFormat, mut file: &File, name: &Path) -> Result<Kind, Fault> {
    let fault = |error: io::Error| Fault::local(FaultKind::Other, "can't read", name, &error);
    let start = start_of(file).map_err(fault)?;
    if let Some(kind) = asked.kind() {
        let fits = match kind {
            Kind::Tar(packing) | Kind::Single(packing) => Packing::of(&start) == packing,
            Kind::Zip => is_zip(&start),
            Kind::SevenZip => is_sevenz(&start),
        };
        if fits {
            return Ok(kind);
        }
        let asked = ArchiveFormat::ALL.iter().position(|known| *known == asked).unwrap_or(0);
        let asked = ArchiveFormat::NAMES[asked];
        let text = format!("{} is not {asked}", name.display());
        return Err(Fault::new(FaultKind::Format, text));
    }
    if is_zip(&start) {
        return Ok(Kind::Zip);
    }
    if is_sevenz(&start) {
        return Ok(Kind::SevenZip);
    }
    let packing = Packing::of(&start);
    file.rewind().map_err(fault)?;
    let inside = packing.unpacked(io::BufReader::new(file)).and_then(start_of);
    match inside {
        Ok(inside) if is_tar(&inside) => Ok(Kind::Tar(packing)),
        Ok(_) if packing != Packing::Plain => Ok(Kind::Single(packing)),
        Err(error) => {
            let text = format!("{} is damaged: {error}", name.display());
            Err(Fault::new(FaultKind::Archive, text))
        }
        Ok(_) => {
            let known = ArchiveFormat::NAMES[1..].join(", ");
            let text = format!("{} is not an archive that is known: {known}", name.display());
            Err(Fault::new(FaultKind::Format, text))
        }
    }
}

/// As many bytes as a tar's first header has, if there are.
fn start_of(from: impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    from.take(512).read_to_end(&mut start)?;
    Ok(start)
}

fn is_zip(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

fn is_sevenz(start: &[u8]) -> bool {
    start.starts_with(b"7z\xbc\xaf\x27\x1c")
}

/// By the sum that every tar header carries over itself; an empty tar is zeros.
fn is_tar(start: &[u8]) -> bool {
    if start.len() < 512 {
        return false;
    }
    if start.iter().all(|&byte| byte == 0) {
        return true;
    }
    let field = std::str::from_utf8(&start[148..156]).unwrap_or_default();
    let told = u32::from_str_radix(field.trim_matches([' ', '\0']), 8);
    let sum: u32 = start
        .iter()
        .enumerate()
        .map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u32::from(byte) })
        .sum();
    told == Ok(sum)
}
