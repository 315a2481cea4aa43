//! `zccache download`, and what it has in common with `zccache-download`.

use std::fmt::Write;
use std::process::ExitCode;

use super::given::Given;
use super::progress::Progress;
use super::{print, say, shown};
use crate::download::{
    ArchiveFormat, DownloadClient, Fault, FetchRequest, FetchResult, FetchStatus, Sha256, WaitMode,
};

/// Downloads one file, unpacks it where that is wanted, and says where it is.
pub fn run(given: &Given) -> ExitCode {
    let url = given.words.first().map(|word| word.to_string_lossy().into_owned());
    let url = match (url, given.text("url")) {
        (Some(_), Some(_)) => {
            return super::unclear("download: the URL is given twice; see zccache download --help");
        }
        (word, flag) => word.or(flag),
    };
    if url.is_none() && given.values("part-url").next().is_none() {
        return super::unclear(
            "download: a URL to download is needed; see zccache download --help",
        );
    }
    let request = request(given, url, "unarchive");
    let request = request.map(|request| FetchRequest {
        destination_path: given.value("output").map(Into::into),
        ..request
    });
    finish(fetch(&DownloadClient::new(None), request, given.has("json")))
}

/// What the flags that both command lines have ask for. `expand`: the flag that says where to unpack.
pub(super) fn request(
    given: &Given,
    url: Option<String>,
    expand: &'static str,
) -> Result<FetchRequest, Fault> {
    let small = |flag| given.number(flag).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    let format = given.text("archive-format").and_then(|name| ArchiveFormat::parse(&name));
    Ok(FetchRequest {
        source_url: url,
        part_urls: given.values("part-url").map(|url| url.to_string_lossy().into_owned()).collect(),
        destination_path_expanded: given.value(expand).map(Into::into),
        archive_format: format.unwrap_or_default(),
        expected_sha256: given.text("sha256").map(|hex| Sha256::parse(&hex)).transpose()?,
        multipart_parts: small("multipart-parts"),
        max_connections: small("max-connections"),
        min_segment_size: given.number("min-segment-size"),
        wait_mode: if given.has("no-wait") { WaitMode::NoWait } else { WaitMode::Block },
        dry_run: given.has("dry-run"),
        force: given.has("force"),
        ..FetchRequest::to_cache("")
    })
}

/// Fetches, shows how far it is, and prints the result.
pub(super) fn fetch(
    client: &DownloadClient,
    request: Result<FetchRequest, Fault>,
    json: bool,
) -> Result<(), Fault> {
    let mut progress = Progress::new(json);
    let result = client.fetch_with(request?, &mut |status| progress.show(status));
    progress.end();
    let result = result?;
    if let Some(note) =
        result.note.as_ref().filter(|_| result.status == FetchStatus::AlreadyPresent)
    {
        say(note);
    }
    print(&if json { format!("{}\n", serde_json::json!(result)) } else { lines(&result) });
    Ok(())
}

/// The result as `key=value` lines.
fn lines(result: &FetchResult) -> String {
    let mut text = format!("status={}\n", result.status.name());
    let _ = writeln!(text, "path={}", shown(result.cache_path.as_os_str().as_encoded_bytes()));
    let _ = match result.sha256 {
        Some(sha256) => writeln!(text, "sha256={sha256}"),
        None => writeln!(text, "download_id={}", result.download_id),
    };
    if let Some(folder) = &result.expanded_path {
        let _ = writeln!(text, "unarchive={}", folder.display());
    }
    text
}

/// Each kind of fault has an exit status of its own.
pub(super) fn finish(result: Result<(), Fault>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            say(&fault.to_string());
            ExitCode::from(fault.kind.exit_status())
        }
    }
}
