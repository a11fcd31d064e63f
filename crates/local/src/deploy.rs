//! Building and deploying, with the commands that an administrator uses: `sam build`, `sam deploy`, nothing else.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::emulator::REGION;
use crate::root;
use crate::scratch::Scratch;
use crate::tools::{Tool, path_with, run};

/// The users' bucket of the demo and the tests.
pub const USER_BUCKET: &str = "af-users-eu-west-2";
/// The customizer bucket.
pub const CUSTOMIZER_BUCKET: &str = "alces-flight-abcdefghijklnmop";
/// Where SAM puts what it has built: `s3_bucket` of `[local.deploy.parameters]` in samconfig.toml.
const BUILD_RESULTS: &str = "clusterdrop-build-results";
/// The deployment's stack.
pub const DEPLOYMENT: &str = "clusterdrop";
/// The prefix of the clusters' stacks.
pub const PREFIX: &str = "clusterdrop";
/// Who gets the mails.
pub const ADMIN: &str = "admin@site.example";

/// The machine's own architecture, in Lambda's words.
pub fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }
}

/// The program of the nodes, which publishes itself.
pub const AGENT: &str = "cf-node";

/// The functions.
pub const FUNCTIONS: [&str; 3] = ["cf-create", "cf-delete", "cf-watch"];

fn sam(args: &[&str], scratch: &Scratch) -> Command {
    let mut command = Command::new(Tool::Sam.program("sam"));
    command
        .args(args)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("SAM_CLI_TELEMETRY", "0")
        .env("TMPDIR", scratch.path())
        // Seconds between looks at a deployment; the local one is quick.
        .env("SAM_CLI_POLL_DELAY", "0.2");
    compiling_for_here(&mut command);
    command
}

/// The environment in which the functions are compiled for this machine, be it by SAM or before it: where it differs, cargo
/// compiles them anew.
fn compiling_for_here(command: &mut Command) {
    command
        .current_dir(root())
        .env("PATH", path_with(&[Tool::CargoLambda, Tool::Sam]))
        // What ships is built with the release profile as it stands in Cargo.toml. Here the same code is built in a
        // fraction of the time: link-time optimisation takes minutes for each function. (Without any optimisation it is half the
        // time again, 224 instead of 460 seconds of a processor, but then passes meet at other points than tests/calls.md knows.)
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
}

/// Compiles the functions as `sam build` does, which then finds them compiled. It needs no SAM, so SAM can be installed meanwhile.
pub fn compile() -> Result<()> {
    compile_in(&root(), &FUNCTIONS)?;
    // By itself, as SAM does it: packages that are built together share their features.
    compile_in(&root().join("crates/node"), &[AGENT])
}

fn compile_in(folder: &Path, programs: &[&str]) -> Result<()> {
    let mut command = Command::new(Tool::CargoLambda.program("cargo-lambda"));
    compiling_for_here(&mut command);
    command.current_dir(folder).args(["lambda", "build", "--release"]);
    if cfg!(target_arch = "aarch64") {
        command.arg("--arm64");
    }
    command.args(programs.iter().flat_map(|name| ["--bin", name]));
    run(&mut command, "cargo lambda build", "see the last lines of its output below")?;
    Ok(())
}

/// Where the local build's results go: a `sam deploy` to AWS must never find them.
pub const BUILT: &str = "target/local-sam";

/// The parameters of a deployment to this machine: nothing is built for another one.
fn architectures() -> [String; 2] {
    ["Architecture", "AgentArchitectures"].map(|name| format!("{name}={}", architecture()))
}

/// `sam build` for this machine.
pub fn build() -> Result<()> {
    let [functions, agent] = architectures();
    let args = ["build", "--config-env", "local", "--build-dir", BUILT, "--parameter-overrides", &functions, &agent];
    run(&mut sam(&args, &Scratch::new("sam")?), "sam build", "see the last lines of its output below")?;
    Ok(())
}

/// `sam deploy` to the emulator, with what `overrides` adds to the demo's parameters.
pub fn deploy(endpoint: &str, overrides: &[&str]) -> Result<()> {
    let [functions, agent] = architectures();
    let (users, profiles) = (format!("UserBucket={USER_BUCKET}"), format!("CustomizerBucket={CUSTOMIZER_BUCKET}"));
    let (admin, sender) = (format!("AdminEmail={ADMIN}"), format!("MailSender={ADMIN}"));
    let mut parameters = vec![functions.as_str(), &agent, &users, &profiles, &admin, &sender, "AccessNetwork=192.0.2.0/24"];
    parameters.extend_from_slice(overrides);
    // An upgrade finds it there.
    if aws(endpoint, &["s3api", "head-bucket", "--bucket", BUILD_RESULTS]).is_err() {
        aws(endpoint, &["s3", "mb", &format!("s3://{BUILD_RESULTS}")])?;
    }
    let built = format!("{BUILT}/template.yaml");
    // Beside the built template there is no configuration file to be found.
    let config = root().join("samconfig.toml").display().to_string();
    let mut args = vec!["deploy", "--template-file", &built, "--config-file", &config, "--config-env", "local"];
    args.extend(["--no-progressbar", "--region", REGION, "--parameter-overrides"]);
    args.extend(parameters);
    run(emulated(&mut sam(&args, &Scratch::new("sam")?), endpoint), "sam deploy", "see the last lines of its output below")?;
    Ok(())
}

/// The AWS CLI against the emulator.
pub fn aws(endpoint: &str, args: &[&str]) -> Result<String> {
    let mut command = Command::new(Tool::Emulator.program("aws"));
    // Version 1 of the CLI goes to SQS by an old name of its own, whatever the environment says; but not past this option.
    let command = command.args(args).args(["--endpoint-url", endpoint]);
    run(emulated(command, endpoint), &format!("aws {}", args.join(" ")), "see the last lines of its output below")
}

/// Brings the service role and the node boundary of an earlier deployment up to date, as an administrator does it.
pub fn renew_foundation(endpoint: &str, prefix: &str) -> Result<()> {
    let mut command = Command::new(root().join("iam/renew.sh"));
    let command = command.arg(prefix).env("PATH", path_with(&[Tool::Emulator]));
    run(emulated(command, endpoint), &format!("iam/renew.sh {prefix}"), "see its last lines below").map(drop)
}

fn emulated<'a>(command: &'a mut Command, endpoint: &str) -> &'a mut Command {
    command
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_PAGER", "")
        .env_remove("AWS_PROFILE")
}

/// SES sends from verified addresses only, as on AWS.
pub fn verify_sender(endpoint: &str) -> Result<()> {
    aws(endpoint, &["ses", "verify-email-identity", "--email-address", ADMIN])?;
    Ok(())
}

/// Takes over a users' bucket that was there before the deployment, as an administrator does it.
pub fn adopt(endpoint: &str, cli: &Path) -> Result<()> {
    let mut command = Command::new(cli);
    run(
        emulated(command.args(["admin", "adopt-bucket"]), endpoint),
        "clusterdrop admin adopt-bucket",
        "see the last lines of its output below",
    )?;
    Ok(())
}
