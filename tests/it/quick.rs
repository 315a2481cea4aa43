//! The hit that is delivered before the C library starts: its rules, on the built binary.

use std::process::Command;

use crate::kit::ZCCACHE;

#[test]
fn nothing_before_libc_leaves_its_section() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/check-quick");
    let output = Command::new("python3").arg(script).arg(ZCCACHE).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
