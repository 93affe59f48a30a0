//! Writes the memory map of the machine.

use std::path::PathBuf;
use std::{env, fs};

/// Feature, start and size of the code memory, start and size of the RAM.
const MAPS: [(&str, u32, u32, u32, u32); 4] = [
    // The program in the first three quarters of the flash, the log in the last.
    ("MICROBIT", 0, 192 * 1024, 0x2000_0000, 16 * 1024),
    // One SRAM of 768 KiB at 0, where the emulator puts the program.
    ("AST1030", 0, 512 * 1024, 0x0008_0000, 256 * 1024),
    ("MPS2", 0, 4 * 1024 * 1024, 0x2000_0000, 4 * 1024 * 1024),
    ("LM3S6965", 0, 256 * 1024, 0x2000_0000, 64 * 1024),
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let chosen = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    // Without a machine it is a library for chips whose crates bring their own map.
    let Some((_, flash, flash_bytes, ram, ram_bytes)) = MAPS.into_iter().find(|(feature, ..)| chosen(feature)) else {
        return;
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let map = format!(
        "MEMORY {{\n  FLASH : ORIGIN = {flash:#x}, LENGTH = {flash_bytes:#x}\n  RAM : ORIGIN = {ram:#x}, LENGTH = {ram_bytes:#x}\n}}\n"
    );
    fs::write(out.join("memory.x"), map).expect("the build folder can be written");
    println!("cargo:rustc-link-search={}", out.display());
}
