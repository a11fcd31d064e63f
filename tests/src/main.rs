//! What `cargo xtask test` has to ask of a deployment through the SDK, as a program: so xtask itself needs none.

use anyhow::Result;
use cf_e2e::deployment::Deployment;
use cf_e2e::live::Live;
use cf_e2e::record;
use clap::Parser;

#[derive(Parser)]
enum Work {
    /// Wait until a deployment's trigger was heard of, and end the time in which S3 may tell of nothing
    EndFirstHour { url: String },
    /// Keep the calls that the functions of a deployment made, as a file of that name
    Record { url: String, name: String },
    /// Deploy what LocalEmu takes of template.yaml
    DeployToLocalemu { port: u16 },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    cf_local::interruption::watch(cf_local::interruption::PATIENCE, || ())?;
    match Work::parse() {
        Work::EndFirstHour { url } => Deployment::at(&url).await?.end_first_hour().await,
        Work::Record { url, name } => record::save(&Deployment::at(&url).await?, &name),
        Work::DeployToLocalemu { port } => Live::deploy(port).await,
    }
}
