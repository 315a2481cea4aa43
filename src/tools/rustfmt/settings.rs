//! Where rustfmt finds its settings: above each file, in the user's folders, or where it is told; and
//! what it knows of the terminal.

use std::collections::BTreeSet;

use crate::terms::{Arg, as_path};
use crate::tools::environment::Environment;
use crate::tools::find::absolute;

const NAMES: [&[u8]; 2] = [b".rustfmt.toml", b"rustfmt.toml"];

/// Every file (absolute) that may hold settings for these roots (absolute), there or not. None where
/// the user's folder is not known.
pub(super) fn candidates(
    roots: &[Arg],
    config_path: Option<&Arg>,
    env: Environment<'_>,
    cwd: &[u8],
) -> Option<BTreeSet<Vec<u8>>> {
    let home = env.get(b"HOME").filter(|home| home.starts_with(b"/"))?;
    let mut folders: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut found = BTreeSet::new();
    for root in roots {
        above(root, &mut folders);
        // It goes up by the real name.
        if let Ok(real) = std::fs::canonicalize(as_path(root)) {
            above(real.as_os_str().as_encoded_bytes(), &mut folders);
        }
    }
    if let Some(path) = config_path {
        let path = absolute(cwd, path);
        above(&path, &mut folders);
        folders.insert(path.clone());
        found.insert(path);
    }
    folders.insert(home.to_vec());
    let config = match env.get(b"XDG_CONFIG_HOME").filter(|folder| folder.starts_with(b"/")) {
        Some(folder) => folder.to_vec(),
        None => [home, b"/.config"].concat(),
    };
    folders.insert([&config[..], b"/rustfmt"].concat());
    for folder in folders {
        found.extend(NAMES.iter().map(|name| [&folder[..], b"/", name].concat()));
    }
    Some(found)
}

/// The folders that a file lies in; the root is the empty name.
fn above(file: &[u8], folders: &mut BTreeSet<Vec<u8>>) {
    let mut folder = file;
    while let Some(slash) = folder.iter().rposition(|byte| *byte == b'/') {
        folder = &folder[..slash];
        folders.insert(folder.to_vec());
    }
}

/// Where the description of the terminal may lie, which says whether and how colours are written.
pub(super) fn terminal(env: Environment<'_>) -> Vec<Vec<u8>> {
    let Some(term) = env.get(b"TERM").filter(|term| !term.is_empty() && !term.contains(&b'/'))
    else {
        return Vec::new();
    };
    let mut folders: Vec<Vec<u8>> = Vec::new();
    folders.extend(env.get(b"TERMINFO").map(<[u8]>::to_vec));
    folders.extend(env.get(b"HOME").map(|home| [home, b"/.terminfo"].concat()));
    let listed = env.get(b"TERMINFO_DIRS").unwrap_or_default();
    folders.extend(listed.split(|byte| *byte == b':').map(<[u8]>::to_vec));
    let usual = ["/etc/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo", "/lib/terminfo"];
    folders.extend(usual.map(|folder| folder.as_bytes().to_vec()));
    let mut paths = Vec::new();
    for folder in folders.iter().filter(|folder| folder.starts_with(b"/")) {
        let hex = format!("{:x}", term[0]).into_bytes();
        for letter in [&term[..1], &hex] {
            paths.push([&folder[..], b"/", letter, b"/", term].concat());
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_counts() {
        let env = Environment::new(b"HOME=/h\0TERM=xterm\0");
        let config = b"cfg".to_vec();
        let found = candidates(&[b"/zcc-none/s/a.rs".to_vec()], Some(&config), env, b"/w").unwrap();
        for path in [
            "/zcc-none/s/rustfmt.toml",
            "/zcc-none/.rustfmt.toml",
            "/rustfmt.toml",
            "/h/.rustfmt.toml",
            "/h/.config/rustfmt/rustfmt.toml",
            "/w/cfg",
            "/w/cfg/rustfmt.toml",
            "/w/rustfmt.toml",
        ] {
            assert!(found.contains(path.as_bytes()), "{path}");
        }
        assert!(candidates(&[], None, Environment::new(b""), b"/").is_none());
        assert!(terminal(env).contains(&b"/usr/share/terminfo/78/xterm".to_vec()));
    }
}
