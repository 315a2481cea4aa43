//! Reads zip.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use zip::ZipArchive;
use zip::extra_fields::ExtraField;
use zip::result::ZipError;

use super::tree::{About, Tree, hostile};

pub(super) fn unpack(file: &File, tree: &mut Tree<'_>) -> io::Result<()> {
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(of_error)?;
    for number in 0..archive.len() {
        let mut entry = archive.by_index(number).map_err(of_error)?;
        let raw = entry.name_raw().to_vec();
        let name = Path::new(std::ffi::OsStr::from_bytes(&raw));
        let mode = entry.unix_mode();
        let mtime = precise(&entry).or(entry.last_modified().map(|time| (seconds(&time), 0)));
        if entry.is_dir() {
            tree.folder(name, About { mode: mode.unwrap_or(0o755), mtime })?;
            continue;
        }
        let about = About { mode: mode.unwrap_or(0o644), mtime };
        const KIND: u32 = 0o170_000;
        match mode.unwrap_or(0) & KIND {
            0o120_000 => tree.symlink_from(name, &mut entry, about)?,
            0 | 0o100_000 => tree.file(name, about, &mut entry)?,
            _ => return Err(hostile(format!("{} is a device or pipe", name.display()))),
        }
    }
    Ok(())
}

/// The time in UTC that Unix programs add.
fn precise<R: io::Read>(entry: &zip::read::ZipFile<'_, R>) -> Option<(i64, u32)> {
    entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time().map(|time| (time.into(), 0)),
        _ => None,
    })
}

/// The classic time has no zone; it is taken for UTC.
fn seconds(time: &zip::DateTime) -> i64 {
    let (year, month) = (i64::from(time.year()), i64::from(time.month()));
    // Days since 1970 of a date, with years that begin in March.
    let shifted = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(time.day()) - 1;
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + of_year - 719_468;
    let clock = (i64::from(time.hour()) * 60 + i64::from(time.minute())) * 60;
    days * 86_400 + clock + i64::from(time.second())
}

fn of_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => hostile("it needs a password"),
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (date, expected) in [
            ((1980, 1, 1, 0, 0, 0), 315_532_800),
            ((2000, 2, 29, 12, 34, 56), 951_827_696),
            ((2024, 3, 1, 0, 0, 0), 1_709_251_200),
        ] {
            let (year, month, day, hour, minute, second) = date;
            let time = zip::DateTime::from_date_and_time(year, month, day, hour, minute, second);
            assert_eq!(seconds(&time.unwrap()), expected, "{date:?}");
        }
    }
}
