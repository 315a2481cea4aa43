//! Gives the binary a build id: a hash of all its sources. A wrapper and a daemon with
//! different ids do not read each other's messages.

use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::{env, fs};

fn main() {
    let mut hasher = DefaultHasher::new();
    for name in ["Cargo.toml", "Cargo.lock"] {
        hasher.write(&fs::read(name).unwrap_or_default());
    }
    hash_folder(Path::new("src"), &mut hasher);
    hasher.write(env::var("PROFILE").unwrap_or_default().as_bytes());
    println!("cargo:rustc-env=ZCCACHE_BUILD_ID={}", hasher.finish());
    let target = |name: &str| env::var(name).unwrap_or_default();
    // See src/sys/quick.rs. Unoptimised, it would call functions that are not there yet.
    let able = target("CARGO_CFG_TARGET_OS") == "linux"
        && target("CARGO_CFG_TARGET_ARCH") == "x86_64"
        && target("OPT_LEVEL") != "0";
    if able {
        let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
        println!("cargo:rustc-link-arg-bins=-Wl,-e,zccache_entry");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{folder}/src/sys/quick.ld");
    }
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rerun-if-changed=Cargo.toml");
    println!("cargo:rerun-if-changed=Cargo.lock");
}

fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            hash_folder(&path, hasher);
        } else {
            hasher.write(path.as_os_str().as_encoded_bytes());
            hasher.write(&fs::read(&path).unwrap_or_default());
        }
    }
}
