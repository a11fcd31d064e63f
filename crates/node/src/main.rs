//! The program `cf-node`: its command line, and nothing else.

use cf_node::exchange;
use clap::Parser;

/// clusterdrop's node agent.
#[derive(Debug, Parser)]
#[command(version)]
enum Command {
    /// All-to-all exchange: what nodes tell each other before they are configured.
    #[command(subcommand)]
    Exchange(exchange::command::Exchange),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let command = Command::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match command {
        Command::Exchange(command) => exchange::command::run(command).await,
    }
}
