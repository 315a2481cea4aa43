//! `zccache-download`: the downloader's own command line.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::download::{fetch as fetch_and_show, finish, request as request_of};
use super::given::Given;
use super::progress::Progress;
use super::{print, say, settings};
use crate::download::{
    DownloadClient, DownloadHandle, DownloadStatus, Fault, FaultKind, FetchRequest, FetchStateKind,
};
use crate::server::life;
use crate::server::root::Root;
use crate::server::start::soon;

/// The second word decides.
pub fn run(given: &Given) -> ExitCode {
    match given.sub.and_then(|sub| sub.run) {
        Some(run) => run(given),
        None => super::unclear("zccache-download: a command is needed"),
    }
}

fn client(given: &Given) -> DownloadClient {
    DownloadClient::new(given.value("endpoint").map(PathBuf::from))
}

fn request(given: &Given) -> Result<FetchRequest, Fault> {
    let [url, destination] = &given.words[..] else {
        return Err(Fault::new(FaultKind::Url, "URL and DEST are needed"));
    };
    let request = request_of(given, Some(url.to_string_lossy().into_owned()), "expanded")?;
    Ok(FetchRequest { destination_path: Some(destination.into()), ..request })
}

fn id(given: &Given) -> String {
    given.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `zccache-download daemon start|stop|status`
pub fn daemon(given: &Given) -> ExitCode {
    match given.words.first().and_then(|word| word.to_str()) {
        Some("serve") => serve(given),
        Some("start") => start(given),
        Some("stop") => finish(stop(given)),
        _ => daemon_status(given),
    }
}

/// In the background; returns once it listens. Fine when one runs.
fn start(given: &Given) -> ExitCode {
    let root = || -> std::io::Result<Root> {
        let settings =
            settings().map_err(|_| std::io::Error::other("the settings are not sound"))?;
        let endpoint = given.value("endpoint").map(std::path::absolute).transpose()?;
        let root = Root::of_downloads(&settings, endpoint.as_deref())?;
        if root.reach(soon()).is_err() {
            let args: Vec<_> = given
                .value("endpoint")
                .map(|_| ["--endpoint".into(), root.socket().into()])
                .into_iter()
                .flatten()
                .collect();
            life::spawn_detached(&root, &args)?;
        }
        Ok(root)
    };
    match root() {
        Ok(root) => {
            print(&format!("daemon running at {}\n", root.socket().display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let text = format!("the daemon can't be started: {error}");
            finish(Err(Fault::new(FaultKind::Daemon, text)))
        }
    }
}

fn serve(given: &Given) -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let endpoint = given.value("endpoint").map(std::path::Path::new);
    let served = Root::of_downloads(&settings, endpoint)
        .and_then(|root| crate::download::daemon::serve(&settings, &root, given.has("detached")));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("daemon: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn stop(given: &Given) -> Result<(), Fault> {
    let client = client(given);
    if client.stop_daemon()? {
        print("daemon stopped\n");
    } else {
        print(&format!("daemon not running at {}\n", client.socket()?.display()));
    }
    Ok(())
}

/// Exit status 1 when none runs.
fn daemon_status(given: &Given) -> ExitCode {
    let client = client(given);
    let status = match client.daemon_status() {
        Ok(status) => status,
        Err(fault) => return finish(Err(fault)),
    };
    let socket = client.socket().map(|socket| socket.display().to_string()).unwrap_or_default();
    let running = status.is_some();
    if given.has("json") {
        let mut value = serde_json::json!({ "running": running, "socket": socket });
        if let (Some(status), Some(map)) = (&status, value.as_object_mut())
            && let serde_json::Value::Object(more) = serde_json::json!(status)
        {
            map.extend(more);
        }
        print(&format!("{value}\n"));
    } else if let Some(status) = &status {
        let mut text = format!(
            "running=true\nsocket={socket}\npid={}\nversion={}\nuptime_s={}\n",
            status.pid, status.version, status.uptime_s
        );
        for download in &status.downloads {
            let _ = writeln!(text, "download: {}", words(download));
        }
        print(&text);
    } else {
        print(&format!("running=false\nsocket={socket}\n"));
    }
    ExitCode::from(u8::from(!running))
}

/// `zccache-download fetch URL DEST`
pub fn fetch(given: &Given) -> ExitCode {
    finish(fetch_and_show(&client(given), request(given), given.has("json")))
}

/// `zccache-download exists URL DEST`: exit status 1 when it is not there.
pub fn exists(given: &Given) -> ExitCode {
    let state = match request(given).and_then(|request| client(given).exists(&request)) {
        Ok(state) => state,
        Err(fault) => return finish(Err(fault)),
    };
    if given.has("json") {
        print(&format!("{}\n", serde_json::json!(state)));
    } else {
        let kind = match state.kind {
            FetchStateKind::Present => "present",
            FetchStateKind::NotExpanded => "not_expanded",
            FetchStateKind::Partial => "partial",
            FetchStateKind::Absent => "absent",
        };
        let mut text = format!("kind={kind}\npath={}\n", state.cache_path.display());
        if let Some(reason) = &state.reason {
            let _ = writeln!(text, "reason={reason}");
        }
        if let Some(sha256) = state.sha256 {
            let _ = writeln!(text, "sha256={sha256}");
        }
        if let Some(folder) = &state.expanded_path {
            let _ = writeln!(text, "expanded={}", folder.display());
        }
        print(&text);
    }
    ExitCode::from(u8::from(state.kind != FetchStateKind::Present))
}

/// `zccache-download get URL DEST`: the download goes on without us.
pub fn get(given: &Given) -> ExitCode {
    let begun = request(given).and_then(|request| client(given).download_detached(&request));
    finish(begun.and_then(|mut handle| {
        let status = handle.status()?.clone();
        show(given, &status);
        status.fault().map_or(Ok(()), Err)
    }))
}

/// `zccache-download wait ID`
pub fn wait(given: &Given) -> ExitCode {
    let waited = client(given).attach(&id(given)).and_then(|mut handle: DownloadHandle| {
        let mut progress = Progress::new(given.has("json"));
        let deadline = given.number("timeout").map(std::time::Duration::from_millis);
        let status = handle.wait_with(deadline, &mut |status| progress.show(status));
        progress.end();
        status
    });
    finish(waited.and_then(|status| {
        show(given, &status);
        if !status.phase.is_over() {
            let text = "the time to wait is over; the download goes on";
            return Err(Fault::new(FaultKind::TimedOut, text));
        }
        status.fault().map_or(Ok(()), Err)
    }))
}

/// `zccache-download status ID`
pub fn status(given: &Given) -> ExitCode {
    finish(client(given).status(&id(given)).map(|status| show(given, &status)))
}

/// `zccache-download cancel ID`
pub fn cancel(given: &Given) -> ExitCode {
    let client = client(given);
    // Its threads take a moment to end.
    let cancelled = client.cancel(&id(given)).and_then(|status| match status.phase.is_over() {
        true => Ok(status),
        false => client.attach(&status.download_id)?.wait(Some(5_000)),
    });
    finish(cancelled.map(|status| show(given, &status)))
}

fn show(given: &Given, status: &DownloadStatus) {
    if given.has("json") {
        print(&format!("{}\n", serde_json::json!(status)));
    } else {
        print(&format!("{}\n", words(status).replace("  ", "\n")));
    }
}

/// A download as `key=value` words.
fn words(status: &DownloadStatus) -> String {
    let mut text = format!(
        "download_id={}  phase={}  downloaded_bytes={}",
        status.download_id,
        status.phase.name(),
        status.downloaded_bytes
    );
    if let Some(total) = status.total_bytes {
        let _ = write!(text, "  total_bytes={total}");
    }
    let _ = write!(text, "  path={}", status.destination.display());
    if let Some(sha256) = status.sha256 {
        let _ = write!(text, "  sha256={sha256}");
    }
    if let Some(folder) = &status.expanded_path {
        let _ = write!(text, "  expanded={}", folder.display());
    }
    if let Some(fault) = &status.error {
        let _ = write!(text, "  error={fault}");
    }
    text
}
