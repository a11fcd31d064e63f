//! What the command line understands, and its help.

use clap::{Args, Parser, Subcommand};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "clusterdrop", version, about = "Looks after a clusterdrop deployment: HPC clusters by dropping files into S3")]
#[command(after_help = "Users need no command: they drop files into their S3 home.")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Whose work it is.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// What the administrator of a deployment does by hand
    Admin {
        /// What to do.
        #[command(subcommand)]
        command: Admin,
    },
}

/// The administrator's commands.
#[derive(Debug, Subcommand)]
pub enum Admin {
    /// Let a deployment use a bucket that was there before it (UserBucketMode=existing)
    #[command(long_about = ADOPT, after_long_help = ADOPT_EXAMPLES)]
    AdoptBucket {
        /// Take out again what was added, and nothing else
        #[arg(long)]
        undo: bool,
        /// Show what would change, and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Which deployment.
        #[command(flatten)]
        at: At,
    },
    /// Try once more what nobody could finish: the messages of the parked queue
    #[command(long_about = REDRIVE, after_long_help = REDRIVE_EXAMPLES)]
    Redrive {
        /// List the messages, and leave them where they are
        #[arg(long)]
        dry_run: bool,
        /// Stop after so many messages
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        max: Option<u32>,
        /// Which deployment.
        #[command(flatten)]
        at: At,
    },
    /// Find uploads that nobody has told the functions of, and send them
    #[command(long_about = RESCAN, after_long_help = RESCAN_EXAMPLES)]
    Rescan {
        /// Which uploads.
        #[command(flatten)]
        options: RescanOptions,
        /// Which deployment.
        #[command(flatten)]
        at: At,
    },
}

/// Which uploads are looked for, and whether they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RescanOptions {
    /// Only below this: home/USER/ or deeper
    #[arg(long, value_name = "KEY", default_value = "home/")]
    pub prefix: String,
    /// Only uploads after this time: 90m, 3h, 2d or 4w ago, 2026-11-21, or 2026-11-21T09:00:00Z
    #[arg(long, value_name = "TIME")]
    pub newer_than: Option<String>,
    /// Only uploads before this time
    #[arg(long, value_name = "TIME")]
    pub older_than: Option<String>,
    /// Stop after so many uploads, and tell where to go on
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max: u32,
    /// Go on after this key, as an earlier run has told it
    #[arg(long, value_name = "KEY")]
    pub after: Option<String>,
    /// List the uploads, and send nothing: so it is without --yes
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Send them: each starts or removes a cluster, as if it had just been uploaded
    #[arg(long)]
    pub yes: bool,
}

/// Which deployment, and how to reach it.
#[derive(Debug, Args)]
pub struct At {
    /// The deployment's stack, as `sam deploy` named it
    #[arg(long, value_name = "STACK", default_value = "clusterdrop")]
    pub deployment: String,
    /// The Region of the deployment [default: of your AWS profile or environment]
    #[arg(long)]
    pub region: Option<String>,
    /// The AWS profile to act as [default: $AWS_PROFILE, or your environment's credentials]
    #[arg(long)]
    pub profile: Option<String>,
}

impl Admin {
    /// Where the command goes.
    pub const fn at(&self) -> &At {
        match self {
            Self::AdoptBucket { at, .. } | Self::Redrive { at, .. } | Self::Rescan { at, .. } => at,
        }
    }
}

const ADOPT: &str = "\
Let a deployment use a bucket that was there before it.

A deployment with UserBucketMode=existing leaves its users' bucket alone. This adds the two things that it needs there, and \
keeps everything that is there already:

  - the trigger, in the bucket's notification configuration: events to EventBridge (Trigger=eventbridge), or two \
notifications to the functions, for new home/….cf-create and home/….cf-delete files (Trigger=s3);
  - three statements in the bucket's policy, all of them denials: only the functions write answers; TLS only; nobody from \
outside the account.

What was there before is saved in the deployment's system bucket first, so that --undo can bring it back. Running it again \
does nothing, or brings an older version's statements up to date.";

const ADOPT_EXAMPLES: &str = "\
Examples:
  clusterdrop admin adopt-bucket --dry-run    # look at the difference first
  clusterdrop admin adopt-bucket
  clusterdrop admin adopt-bucket --undo       # before `sam delete`

You need these rights: cloudformation:DescribeStacks; on the users' bucket s3:GetBucketPolicy, s3:PutBucketPolicy, \
s3:DeleteBucketPolicy, s3:GetBucketNotification and s3:PutBucketNotification, and for --undo s3:GetObject and s3:DeleteObject for \
home/clusterdrop-probe.cf-create; on the system bucket s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject for adopt/* and \
sweep/first-hour.json.";

const REDRIVE: &str = "\
Try once more what nobody could finish.

An event that fails is tried for hours by itself. What still fails then is parked: it waits for somebody to look. Mend the cause \
(the list tells what each message is about and why it failed), then let this send the messages back. A message is removed from \
the parked queue only when it has been sent, so none is lost; one that fails again is parked again.";

const REDRIVE_EXAMPLES: &str = "\
Examples:
  clusterdrop admin redrive --dry-run         # what is parked?
  clusterdrop admin redrive --max 1           # try one first
  clusterdrop admin redrive

You need these rights: cloudformation:DescribeStacks; on the parked queue sqs:ReceiveMessage, sqs:DeleteMessage and \
sqs:ChangeMessageVisibility; on the failure queue sqs:SendMessage.";

const RESCAN: &str = "\
Find uploads that nobody has told the functions of, and send them.

S3 tells the functions of each upload. Of some it did not: of those before the bucket was adopted, of those while a trigger was \
switched off or a rule was missing. (Those of the minutes after a deployment or an adoption are found without this.) An upload that \
has its answer is not there any more, so whatever .cf-create and .cf-delete files still lie below home/ wait for something. Not \
everybody still waits: a file may be years old. Look at the list first; nothing is sent without --yes.

Each upload is sent as a message to the failure queue, from which cf-watch takes it. One that waits there already, or is sent \
twice, does no harm. More than a hundred at a time raise the alarm of that queue, until they are worked off.";

const RESCAN_EXAMPLES: &str = "\
Examples:
  clusterdrop admin rescan                                  # what lies there, and how old it is
  clusterdrop admin rescan --newer-than 2d --prefix home/alice/
  clusterdrop admin rescan --newer-than 2d --prefix home/alice/ --yes

You need these rights: cloudformation:DescribeStacks; on the users' bucket s3:ListBucket; on the failure queue sqs:SendMessage.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for line in [
            &["clusterdrop"][..],
            &["clusterdrop", "admin", "redrive", "--max", "0"],
            &["clusterdrop", "admin", "redrive", "--undo"],
            &["clusterdrop", "admin", "adopt-bucket", "extra"],
            &["clusterdrop", "admin", "rescan", "--dry-run", "--yes"],
            &["clusterdrop", "admin", "rescan", "--max", "0"],
        ] {
            let error = Arguments::try_parse_from(line).expect_err("no such command");
            assert_eq!(error.exit_code(), 2, "{line:?}");
        }
    }
}
