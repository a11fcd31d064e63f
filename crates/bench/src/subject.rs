//! What is measured: a program, its environment, and the event that it gets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cf_local::root;
use cf_local::tools::Tool;

use crate::share::Share;
use crate::stub::Stub;

/// One of those that are measured beside each other.
#[derive(Debug, Clone)]
pub struct Subject {
    /// As the table calls it.
    pub name: &'static str,
    /// Where its log goes.
    pub folder: PathBuf,
    /// What it is handed.
    pub event: &'static str,
    /// Program and arguments.
    pub program: Vec<PathBuf>,
    /// All of its environment.
    pub environment: BTreeMap<&'static str, String>,
}

/// The floor: a Lambda in Rust that does nothing.
pub const HELLO: &str = "hello";
/// An upload of `{}` by a user with a profile, up to the started stack.
pub const CREATE: &str = "cf-create";
/// The same function where nothing is to be done, nor a connection to be opened before: its start alone.
pub const IDLE: &str = "… at rest";
/// A sweep that finds nothing to do, as 288 times a day.
pub const SWEEP: &str = "cf-watch";
/// The original's calls, in Python.
pub const PYTHON: &str = "python";

const UPLOAD: &str = include_str!("../../../events/object-created-create.json");
const TEST_EVENT: &str = include_str!("../../../events/s3-test-event.json");
const SWEEP_EVENT: &str = include_str!("../../../events/sweep.json");

impl Subject {
    /// cf-create, asking `stub`.
    pub fn create(stub: &Stub, folder: &Path) -> Result<Self> {
        Self::all(stub, folder)?.into_iter().find(|subject| subject.name == CREATE).context("cf-create is a subject")
    }

    /// All of them, asking `stub`.
    pub fn all(stub: &Stub, folder: &Path) -> Result<Vec<Self>> {
        let roots = folder.join("roots.pem");
        let own = fs::read_to_string(root().join("crates/aws/roots/amazon.pem"))?;
        // As many roots as a function has on AWS, and the stub's.
        fs::write(&roots, own + &fs::read_to_string(&stub.certificate)?)?;
        let environment = environment(stub, &roots);
        let subject =
            |name, event, program: Vec<PathBuf>| Self { name, folder: folder.to_owned(), event, program, environment: environment.clone() };
        let built = |name: &str| vec![root().join("target").join("release").join(name)];
        let mut python = subject(PYTHON, UPLOAD, vec![Tool::Bench.program("python"), "-m".into(), "awslambdaric".into()]);
        python.program.push("handler.handle".into());
        python.environment.insert("PYTHONPATH", root().join("crates/bench/baseline").display().to_string());
        let mut idle = subject(IDLE, TEST_EVENT, built("cf-create"));
        // Where there is no TLS, nothing is opened beforehand; and S3's test event leads to no call.
        idle.environment.insert("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned());
        Ok(vec![
            subject(HELLO, UPLOAD, built("cf-hello")),
            subject(CREATE, UPLOAD, built("cf-create")),
            idle,
            subject(SWEEP, SWEEP_EVENT, built("cf-watch")),
            python,
        ])
    }

    /// Its name, as one for a file.
    pub fn file(&self) -> String {
        self.name.replace([' ', '…'], "_")
    }

    /// The command that starts it.
    pub fn command(&self, share: Option<&Share>, wrapper: &[String]) -> Command {
        let mut words: Vec<PathBuf> = share.map(Share::wrapper).unwrap_or_default();
        words.extend(wrapper.iter().map(PathBuf::from));
        words.extend(self.program.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(&self.environment);
        command
    }
}

/// What template.yaml puts into a function's environment, and its credentials; the rest is the Runtime API's.
fn environment(stub: &Stub, roots: &Path) -> BTreeMap<&'static str, String> {
    let fixed = [
        ("AWS_DEFAULT_REGION", "eu-west-2"),
        ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        ("AWS_SESSION_TOKEN", "a-session"),
        ("CLUSTERDROP_ACCOUNT", "123456789012"),
        ("CLUSTERDROP_PREFIX", "clusterdrop"),
        ("CLUSTERDROP_DEPLOYMENT", "clusterdrop"),
        ("CLUSTERDROP_URL_SUFFIX", "amazonaws.com"),
        ("CLUSTERDROP_USER_BUCKET", "af-users-eu-west-2"),
        ("CLUSTERDROP_CUSTOMIZER_BUCKET", "alces-flight-abcdefghijklmnop"),
        ("CLUSTERDROP_SYSTEM_BUCKET", "clusterdrop-system"),
        ("CLUSTERDROP_SERVICE_ROLE", "arn:aws:iam::123456789012:role/clusterdrop-service"),
        ("CLUSTERDROP_NODE_BOUNDARY", "arn:aws:iam::123456789012:policy/clusterdrop-node-boundary"),
        ("CLUSTERDROP_MAIL_FROM", "admin@site.example"),
        ("CLUSTERDROP_MAIL_TO", "admin@site.example"),
        ("CLUSTERDROP_NODES_MAX", "32"),
        ("CLUSTERDROP_TIMEOUT_SECONDS", "120"),
        ("CLUSTERDROP_ACCESS_NETWORK", "192.0.2.0/24"),
        ("CLUSTERDROP_VPC", "vpc-0a1b2c3d4e5f60718"),
        ("CLUSTERDROP_SUBNET", "subnet-0a1b2c3d4e5f60718"),
        ("CLUSTERDROP_COMPUTE_SUBNET", "subnet-0f1e2d3c4b5a60718"),
    ];
    let mut all: BTreeMap<_, _> = fixed.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    all.insert("AWS_ENDPOINT_URL", stub.url.clone());
    all.insert("SSL_CERT_FILE", roots.display().to_string());
    all.insert("AWS_CA_BUNDLE", roots.display().to_string());
    all
}
