//! The command `clusterdrop`. Here are only its beginning and its end; what it understands is in `arguments`.

mod account;
mod adopt;
mod arguments;
mod call_error;
mod deployment;
mod redrive;
mod rescan;
mod terminal;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use account::Account;
use arguments::{Admin, Arguments, Command};
use deployment::Deployment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, also where AWS tells a longer story.
            eprintln!("clusterdrop: {}", terminal::one_line(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let Command::Admin { command } = arguments.command;
    let at = command.at();
    let account = Account::sign_in(at.region.as_deref(), at.profile.as_deref()).await?;
    let deployment = Deployment::read(&account, &at.deployment).await?;
    match command {
        Admin::AdoptBucket { undo: false, dry_run, .. } => adopt::adopt(&account, &deployment, dry_run).await,
        Admin::AdoptBucket { undo: true, dry_run, .. } => adopt::undo(&account, &deployment, dry_run).await,
        Admin::Redrive { dry_run, max, .. } => redrive::redrive(&account, &deployment, dry_run, max).await,
        Admin::Rescan { options, .. } => rescan::rescan(&account, &deployment, &options).await,
    }
}
