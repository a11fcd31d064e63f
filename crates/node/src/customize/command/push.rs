//! `cf-node customize push`: its command line.

use std::path::PathBuf;

use clap::Args;

use super::{Done, Ending, REFUSED, complain, need_repository, print, print_all, seams};
use crate::customize::REPOSITORY;
use crate::customize::push::{PushError, local::LocalError, push};
use crate::event::Event;
use crate::node::Layout;
use crate::profile::shown;
use crate::settings::NodeSettings;

/// The old tool's, of `push`.
const UNKNOWN_REPOSITORY: u8 = 1;
const UNKNOWN_TYPE: u8 = 3;
const PUSH_FAILED: u8 = 4;
const NO_FOLDERS: u8 = 5;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The script, whose profile has its name without the ending; or the profile's folder
    source: PathBuf,
    /// The repository; "account" is the only one
    repository: Option<String>,
    /// The event of a script
    hook: Option<String>,
    /// Replace files that differ and that no push wrote
    #[arg(long)]
    overwrite: bool,
    /// The customizer bucket, where this machine is no node
    #[arg(long)]
    bucket: Option<String>,
    /// The AWS account that owns the bucket, where this machine is no node
    #[arg(long)]
    account: Option<String>,
    /// The bucket's Region, where this machine is no node
    #[arg(long)]
    region: Option<String>,
}

/// Pushes.
pub(super) async fn run(layout: &Layout, options: Options) -> Done {
    let hook = push_hook(options.repository.as_deref(), options.hook.as_deref())?;
    let node = NodeSettings::read(layout).ok();
    let of_node = |option: Option<String>, value: fn(&NodeSettings) -> &String, name: &str| {
        let missing = || Ending::refused(format!("this machine is no node, or its settings cannot be read; add --{name}"));
        option.or_else(|| node.as_ref().map(|settings| value(settings).clone())).ok_or_else(missing)
    };
    let bucket = of_node(options.bucket, |settings| &settings.customizer_bucket, "bucket")?;
    let account = of_node(options.account, |settings| &settings.account, "account")?;
    let region = of_node(options.region, |settings| &settings.region, "region")?;
    let bucket = bucket.trim_start_matches("s3://").trim_end_matches('/');
    let store = seams::open_store_as_caller(&region, &account).await.map_err(|error| Ending::new(PUSH_FAILED, format!("{error:#}")))?;
    let pushed = push(&store, bucket, &options.source, hook, options.overwrite).await;
    let pushed = pushed.map_err(|error| Ending::new(push_code(&error), &error))?;
    for note in &pushed.notes {
        complain(note);
    }
    print_all(pushed.written.iter().map(|path| format!("written  {path}")));
    print_all(pushed.removed.iter().map(|path| format!("removed  {path}")));
    print(&format!(
        "the profile {} is in {bucket}: {} written, {} removed, {} unchanged",
        pushed.profile,
        pushed.written.len(),
        pushed.removed.len(),
        pushed.unchanged
    ));
    Ok(0)
}

/// The event of a pushed script: `push foo.sh account start`, or without the repository, `push foo.sh start`.
pub(super) fn push_hook(repository: Option<&str>, hook: Option<&str>) -> Result<Event, Ending> {
    let hook = match (repository, hook) {
        (None | Some(REPOSITORY), hook) => hook,
        (Some(event), None) if event.parse::<Event>().is_ok() => Some(event),
        (other, _) => {
            need_repository(other, UNKNOWN_REPOSITORY)?;
            hook
        }
    };
    let Some(hook) = hook else { return Ok(Event::Configure) };
    hook.trim_end_matches(".d").parse().map_err(|_| {
        Ending::refused(format!("there is no event {}; a script is for configure, start, or another event of nodes", shown(hook.as_ref())))
    })
}

fn push_code(error: &PushError) -> u8 {
    match error {
        PushError::Local(LocalError::Empty(_)) => NO_FOLDERS,
        PushError::Local(LocalError::Kind(_)) => UNKNOWN_TYPE,
        PushError::Local(_) | PushError::Foreign { .. } => REFUSED,
        _ => PUSH_FAILED,
    }
}
