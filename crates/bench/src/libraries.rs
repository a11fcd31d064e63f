//! What the functions are linked with, as cargo tells it: some libraries cost a cold start so much that their coming in by a
//! feature somewhere must not go unseen.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Result;
use cf_local::{root, tools};

use crate::binaries::FUNCTIONS;

/// Where the functions run.
const TARGETS: [&str; 2] = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"];

/// What has to be there, so that a name that changes does not make this check blind.
const WANTED: [&str; 4] = ["ring v0.17", "rustls v0.23", "hyper v1", "aws-sdk-s3 v1"];

/// What must not be there, and why.
const UNWANTED: [(&str, &str); 8] = [
    ("aws-lc-rs ", "TLS is by ring: aws-lc gathers entropy for 0.6 s at the first call of a function of 128 MB"),
    ("aws-lc-sys ", "TLS is by ring: aws-lc gathers entropy for 0.6 s at the first call of a function of 128 MB"),
    ("openssl-sys ", "TLS is by ring"),
    ("rustls v0.21", "a second TLS stack: an SDK crate has its default features on"),
    ("hyper v0.14", "a second HTTP stack: an SDK crate has its default features on"),
    ("h2 v0.3", "a second HTTP stack: an SDK crate has its default features on"),
    ("aws-sdk-sso", "single sign-on is the command line's; aws-config has its default features on"),
    ("aws-sdk-ec2", "the login address is an output of the stack"),
];

/// What is wrong with the functions' libraries.
pub fn wrong() -> Result<Vec<String>> {
    let mut wrong = BTreeSet::new();
    for target in TARGETS {
        let mut command = Command::new("cargo");
        command.current_dir(root()).args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--target", target]);
        command.args(FUNCTIONS.iter().flat_map(|name| ["-p", name]));
        let told = tools::run(&mut command, "cargo tree", "is Cargo.lock up to date?")?;
        let linked: BTreeSet<&str> = told.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
        println!("  {} libraries on {target}", linked.len());
        let missing = WANTED.iter().filter(|wanted| !linked.iter().any(|l| l.starts_with(**wanted)));
        wrong.extend(missing.map(|wanted| format!("the functions are not linked with {wanted}")));
        for (unwanted, why) in UNWANTED {
            let found = linked.iter().filter(|l| l.starts_with(unwanted));
            wrong.extend(found.map(|library| format!("the functions are linked with {library}: {why}")));
        }
    }
    Ok(wrong.into_iter().collect())
}
