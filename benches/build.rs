//! Tells the crate which compiler made it: instruction counts are those of one compiler and profile.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(compiler).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    // "rustc 1.95.0 (59807616e 2026-04-14)"
    println!("cargo:rustc-env=COMPILER={}", text.split_whitespace().take(2).collect::<Vec<_>>().join("-"));
    println!("cargo:rustc-env=PROFILE={}", std::env::var("PROFILE").unwrap_or_default());
}
