//! Reads `templates/cluster.yaml` once, at build time, into the JSON card that the functions carry. Parsing forty
//! kilobytes of YAML at each cold start would cost more than everything else in it.

#![allow(clippy::disallowed_methods, reason = "a build script reads files; the purity of the crate is that of its library")]

mod card;

use std::{env, fs, path::PathBuf};

const TEMPLATE: &str = "../../templates/cluster.yaml";

fn main() {
    println!("cargo::rerun-if-changed={TEMPLATE}");
    let text = fs::read_to_string(TEMPLATE).expect("templates/cluster.yaml is part of the project");
    let card = card::read(&text).unwrap_or_else(|why| panic!("templates/cluster.yaml: {why}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("card.json"), card.to_string()).expect("OUT_DIR can be written");
}
