//! The main job, before one's eyes: the binaries, template and policies that go to AWS, on a local AWS.

use anyhow::{Context, Result};
use cf_core::status::State;
use cf_e2e::deploy::{self, CUSTOMIZER_BUCKET, USER_BUCKET};
use cf_e2e::emulator::{Emulator, Pace, REGION};
use cf_e2e::stand::Stand;
use cf_e2e::tools::Tool;
use indicatif::{ProgressBar, ProgressStyle};

use crate::chore::{headline, show, step};

/// The founding example, as it stands in the project's templates.
const EXAMPLE: &str = include_str!("../../../templates/example.cf-create");

const THREE_MISTAKES: &str = r#"{
    "ComputeSpotPrize": "0.03",
    "MasterInstanceTypeOther": "r4.lage-2C-15.25GB",
    "MasterSystemVolumeSize": 8
}
"#;

const HOME: &str = "home/alice";

pub async fn run(keep: bool, port: u16) -> Result<()> {
    headline("clusterdrop on this machine");
    println!("  Nothing leaves it: AWS is played by an emulator on 127.0.0.1, and ends with this command.\n");
    install().await?;
    let emulator = step("starting the local AWS", move || Emulator::start(Some(port), Pace::DEMO)).await?;
    let url = emulator.url();
    step("sam build: the three functions, in Rust (the first time takes minutes)", deploy::build).await?;
    prepare(&url).await?;
    let stand = Stand::at(&url).await?;
    // The deployment went as fast as it could; a cluster is to be watched.
    let _pace = stand.fault(&serde_json::json!({"kind": "pace", "stack": "-alice-mycluster-", "each": 0.8}))?;
    create(&stand).await?;
    mistakes(&stand).await?;
    if keep {
        return leave_running(emulator).await;
    }
    delete(&stand).await?;
    headline("That was the whole of it.");
    println!("  `cargo xtask demo --keep` leaves it running to be tried by hand; docs/administrators.md says how to deploy it to AWS.\n");
    Ok(())
}

async fn install() -> Result<()> {
    for (tool, what) in [(Tool::Emulator, "the local AWS, pinned"), (Tool::Sam, "SAM and cargo-lambda, pinned")] {
        step(&format!("tools: {what}"), move || tool.install(&|_| {})).await?;
    }
    Ok(())
}

async fn prepare(url: &str) -> Result<()> {
    let to = url.to_owned();
    step("sam deploy: template.yaml as it is", move || {
        deploy::verify_sender(&to)?;
        deploy::deploy(&to, &[])
    })
    .await?;
    let to = url.to_owned();
    step(&format!("the administrator gives alice a profile: s3://{CUSTOMIZER_BUCKET}/customizer/alice/configure.d/user.sh"), move || {
        deploy::give_profile(&to, "alice")
    })
    .await
}

async fn create(stand: &Stand) -> Result<()> {
    headline("Alice drops a file: s3://af-users-eu-west-2/home/alice/mycluster.cf-create");
    show(EXAMPLE);
    stand.drop_file(&format!("{HOME}/mycluster.cf-create"), EXAMPLE.as_bytes()).await?;
    println!("\n  Her status file, mycluster.cf-status, as it moves:\n");
    follow(stand).await?;
    headline("Her answer: mycluster.cf-created");
    show(&stand.answer(&format!("{HOME}/mycluster.cf-created")).await?);
    stand.gone(&format!("{HOME}/mycluster.cf-create")).await?;
    println!("  (and mycluster.cf-create is gone: it was the work item, and the work is done)");
    headline("What runs in the account");
    let stacks = stand.stacks("alice", "mycluster").await?;
    let stack = stacks.first().context("the stack is not there")?;
    let tags = stack.tags().iter().map(|t| format!("{} = {}", t.key().unwrap_or_default(), t.value().unwrap_or_default()));
    let lines: Vec<String> = [format!("{} {}", stack.stack_name().unwrap_or_default(), stack.stack_status().map_or("", |s| s.as_str()))]
        .into_iter()
        .chain(tags)
        .collect();
    show(&lines.join("\n"));
    headline("The administrator's mail");
    let (subject, body) = stand.until("the mail", async || Ok(stand.mails("alice", "mycluster")?.into_iter().next())).await?;
    show(&format!("Subject: {subject}\n\n{body}"));
    Ok(())
}

/// A progress bar out of the status file: what a user sees who can see nothing else.
async fn follow(stand: &Stand) -> Result<()> {
    let bar = ProgressBar::new(1);
    bar.set_style(ProgressStyle::with_template("    {bar:30.cyan/dim} {pos:>2}/{len} {msg}")?);
    let mut last = String::new();
    stand
        .until("the cluster", async || {
            let Some(status) = stand.status(&format!("{HOME}/mycluster.cf-status")).await? else { return Ok(None) };
            let is_final = matches!(status.state, State::Ready | State::Failed);
            if let Some(progress) = status.progress {
                bar.set_length(progress.total as u64);
                bar.set_position(progress.done as u64);
            }
            if is_final {
                bar.set_position(bar.length().unwrap_or(1));
            }
            if status.message != last {
                last.clone_from(&status.message);
                bar.set_message(status.message.clone());
                if bar.is_hidden() {
                    println!("    {}", status.message);
                }
            }
            bar.tick();
            Ok(is_final.then_some(()))
        })
        .await?;
    bar.finish();
    Ok(())
}

async fn mistakes(stand: &Stand) -> Result<()> {
    headline("A file with three mistakes: typos.cf-create");
    show(THREE_MISTAKES);
    stand.drop_file(&format!("{HOME}/typos.cf-create"), THREE_MISTAKES.as_bytes()).await?;
    headline("Its answer: typos.cf-failed");
    show(&stand.answer(&format!("{HOME}/typos.cf-failed")).await?);
    Ok(())
}

async fn delete(stand: &Stand) -> Result<()> {
    headline("Alice drops another file: mycluster.cf-delete (its content is never read)");
    stand.drop_file(&format!("{HOME}/mycluster.cf-delete"), b"").await?;
    let receipt = stand.answer(&format!("{HOME}/mycluster.cf-deleted")).await?;
    println!("  Her receipt, mycluster.cf-deleted, once it is gone and not before:");
    show(&receipt);
    stand.at_rest("alice").await?;
    headline("What is left in her folder, and in the account");
    show(&stand.keys(&format!("{HOME}/mycluster")).await?.join("\n"));
    show(&format!("stacks of alice's mycluster: {}", stand.stacks("alice", "mycluster").await?.len()));
    Ok(())
}

async fn leave_running(emulator: Emulator) -> Result<()> {
    headline("It is running. Try it with the plain AWS CLI, in another terminal in this folder:");
    let aws = ".tools/emulator/bin/aws";
    println!();
    show(&format!(
        "export AWS_ENDPOINT_URL={} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION={REGION}\n\
         {aws} s3 ls s3://{USER_BUCKET}/home/alice/\n\
         {aws} s3 cp s3://{USER_BUCKET}/home/alice/mycluster.cf-status -\n\
         echo | {aws} s3 cp - s3://{USER_BUCKET}/home/alice/mycluster.cf-delete",
        emulator.url()
    ));
    println!("\n  Ctrl-C ends it.");
    // Only Ctrl-C ends this; main waits for it beside us.
    std::future::pending().await
}
