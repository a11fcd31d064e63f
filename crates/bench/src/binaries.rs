//! The programs that are measured, built as they ship, and how large they are.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cf_local::{children, root, tools};

/// The functions.
pub const FUNCTIONS: [&str; 3] = ["cf-create", "cf-delete", "cf-watch"];

/// Builds the functions alone, so that no other crate's features get into them, and with the profile that ships.
pub fn build_functions() -> Result<()> {
    let packages: Vec<&str> = FUNCTIONS.iter().flat_map(|name| ["-p", name]).collect();
    cargo(&[&["build", "--release", "--locked"], packages.as_slice()].concat())
}

/// Builds one package alone.
pub fn build(name: &str) -> Result<()> {
    cargo(&["build", "--release", "--locked", "-p", name])
}

fn cargo(args: &[&str]) -> Result<()> {
    println!("  $ cargo {}", args.join(" "));
    let status = children::status(Command::new("cargo").args(args).current_dir(root())).context("cargo could not be started")?;
    if status.success() { Ok(()) } else { bail!("cargo {} ended with {status}", args.join(" ")) }
}

/// A program as it was built.
pub fn built(name: &str) -> PathBuf {
    root().join("target").join("release").join(name)
}

/// A function as the last `sam build` for this machine made it.
pub fn built_by_sam(resource: &str) -> PathBuf {
    root().join(cf_local::deploy::BUILT).join(resource).join("bootstrap")
}

/// A function's size in MB (of 10⁶ bytes): the program, and the zip that SAM makes of it, by the module that SAM makes it with.
pub fn sizes(name: &str) -> Result<(f64, f64)> {
    let folder = crate::folder().join("zip").join(name);
    fs::create_dir_all(&folder)?;
    fs::copy(built(name), folder.join("bootstrap"))?;
    let make = "import sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED).write(sys.argv[2], 'bootstrap')";
    let (zip, program) = (folder.join("function.zip"), folder.join("bootstrap"));
    tools::run(Command::new("python3").args(["-c", make]).arg(&zip).arg(&program), "python3", "is Python 3 installed?")?;
    #[expect(clippy::cast_precision_loss, reason = "sizes of programs are far below 2^52")]
    let megabytes = |path: PathBuf| Ok::<f64, anyhow::Error>(fs::metadata(path)?.len() as f64 / 1e6);
    Ok((megabytes(program)?, megabytes(zip)?))
}
