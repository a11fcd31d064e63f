//! What functions did on the emulator: each invocation, what woke it, and the calls that it made, in words that are the
//! same in every run.

use anyhow::{Context, Result};
use serde_json::Value;

use cf_local::deploy::{CUSTOMIZER_BUCKET, PREFIX, USER_BUCKET};

/// One invocation.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its number.
    pub n: u64,
    /// `cf-create`, `cf-delete` or `cf-watch`.
    pub function: String,
    /// The kind of event, or the queue.
    pub by: String,
    /// The key, the status, or how many messages.
    pub about: String,
    /// How long it took; `None` while it runs.
    pub ms: Option<f64>,
    /// Whether its process was started for it.
    pub cold: bool,
    /// What its process had resident at most so far.
    pub peak_kib: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Its calls to AWS, in the order in which they arrived.
    pub calls: Vec<Call>,
}

/// One call to AWS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// `service.Action` and what about.
    pub what: String,
    /// The HTTP status.
    pub status: u64,
}

impl Invocation {
    /// Reads what the emulator tells.
    pub fn read(told: &Value, system_bucket: &str) -> Result<Self> {
        let text = |name: &str| told[name].as_str().map(str::to_owned);
        let function = text("function").context("an invocation names its function")?;
        let calls = told["calls"].as_array().context("an invocation tells its calls")?;
        Ok(Self {
            n: told["n"].as_u64().context("an invocation has a number")?,
            function: function.strip_prefix(&format!("{PREFIX}-")).unwrap_or(&function).to_owned(),
            by: text("by").unwrap_or_default(),
            about: text("about").unwrap_or_else(|| told["about"].to_string()),
            ms: told["ms"].as_f64(),
            cold: told["cold"] == true,
            peak_kib: told["peak_kib"].as_u64(),
            error: text("error"),
            calls: calls.iter().map(|call| Call::read(call, system_bucket)).collect(),
        })
    }

    /// Its calls in one order of many that mean the same: reads that nothing was written in between may go side by side, and
    /// arrive as it happens. They are sorted; writes keep their place.
    pub fn calls_in_order(&self) -> Vec<Call> {
        let mut calls = self.calls.clone();
        for reads in calls.chunk_by_mut(|a, b| a.is_read() && b.is_read()) {
            reads.sort();
        }
        calls
    }

    /// Its calls, look by look: where somebody else wrote first, it has looked again.
    pub fn looks(&self) -> Vec<Vec<Call>> {
        self.calls_in_order().split_inclusive(Call::was_crossed).map(<[Call]>::to_vec).collect()
    }
}

impl Call {
    fn read(told: &Value, system_bucket: &str) -> Self {
        let call = told["call"].as_str().unwrap_or_default();
        let asked = |name: &str| told["asked"][name].as_str();
        let about = match (asked("bucket"), asked("key").filter(|key| !key.is_empty()), asked("prefix")) {
            (Some(bucket), Some(key), _) => format!("{}/{}", bucket_word(bucket, system_bucket), without_request(key)),
            (Some(bucket), None, prefix) => {
                format!("{}/{}*", bucket_word(bucket, system_bucket), without_request(prefix.unwrap_or_default()))
            }
            (None, ..) => match asked("stack") {
                Some(id) if id.starts_with("arn:") => "by id".to_owned(),
                Some(_) => "by name".to_owned(),
                None => String::new(),
            },
        };
        Self { what: format!("{call} {about}").trim_end().to_owned(), status: told["status"].as_u64().unwrap_or_default() }
    }

    /// Whether somebody else wrote first.
    pub fn was_crossed(&self) -> bool {
        matches!(self.status, 409 | 412)
    }

    /// Whether it only looks.
    fn is_read(&self) -> bool {
        let action = self.what.split(['.', ' ']).nth(1).unwrap_or_default();
        ["Get", "Head", "List", "Describe"].iter().any(|verb| action.starts_with(verb))
    }
}

/// Where nodes report, without the request's id, which is another in each run.
fn without_request(key: &str) -> String {
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        ["nodes", user, cluster, _, rest @ ..] => format!("nodes/{user}/{cluster}/<request>/{}", rest.join("/")),
        _ => key.to_owned(),
    }
}

fn bucket_word<'a>(bucket: &'a str, system_bucket: &str) -> &'a str {
    match bucket {
        USER_BUCKET => "users",
        CUSTOMIZER_BUCKET => "profiles",
        system if system == system_bucket => "system",
        other => other,
    }
}
