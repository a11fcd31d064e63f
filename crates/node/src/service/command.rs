//! `cf-node service`: its command line. Exit status: 0 if all is well, 1 otherwise, 2 where the command line itself is wrong.

use std::process::ExitCode;

use cf_slurm::service::ServiceName;

use super::run::{self, RunArguments};
use super::verbs;

/// The services of the cluster.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Start a program on a node, and keep it running until it is removed
    #[command(after_help = "In the arguments of the program, PIDFILE becomes the path of a file for its process id, and FQDN the host \
                            name of the node. A program that needs no PIDFILE stays in the foreground, or leaves processes behind.")]
    Add(AddArguments),
    /// Stop a service, by SIGTERM and six seconds later SIGKILL, and remove it
    Remove {
        /// Its name, or its index in the list
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        service: Option<String>,
        /// All services
        #[arg(long)]
        all: bool,
    },
    /// List the services: index, name, where it may run, how it is, command
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Whether a service runs: exit status 0 if it does, 1 with the reason if it does not
    #[command(after_help = "Exit status: 0 if its program runs, 1 if not, or if there is no such service.")]
    Status {
        /// Its name
        service: ServiceName,
    },
    /// What the job of a service runs on its node
    #[command(hide = true)]
    Run(RunArguments),
}

/// What a service is.
#[derive(Debug, clap::Args)]
pub struct AddArguments {
    /// Its name: letters, digits, '.', '_' and '-'
    pub(super) name: String,
    /// "any", for whatever node Slurm chooses, or a compute node, such as compute-1
    #[arg(value_name = "NODE|any")]
    pub(super) target: String,
    /// The account that it runs as; root must name one
    #[arg(long)]
    pub(super) user: Option<String>,
    /// The folder that it runs in; the account's home without it
    #[arg(long)]
    pub(super) cwd: Option<String>,
    /// Processors that Slurm keeps for it
    #[arg(long, default_value_t = 1)]
    pub(super) cpus: u32,
    /// Memory that Slurm keeps for it, in MiB; with more it is ended
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub(super) memory: u32,
    /// The program, with all its folders, and its arguments
    #[arg(last = true, value_name = "PROGRAM [ARGUMENT]…")]
    pub(super) command: Vec<String>,
}

/// Runs the command.
pub async fn run(verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Add(arguments) => verbs::add(&arguments).await,
        Verb::Remove { service, .. } => verbs::remove(service.as_deref()).await,
        Verb::List { json } => verbs::list(json).await,
        Verb::Status { service } => verbs::status(&service).await,
        Verb::Run(arguments) => {
            tracing_subscriber::fmt().with_ansi(false).with_target(false).with_writer(std::io::stderr).init();
            run::run(&arguments).await
        }
    }
}
