//! The main job, before one's eyes: the binaries, template and policies that go to AWS, on a local AWS.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use cf_local::deploy::{self, CUSTOMIZER_BUCKET, USER_BUCKET};
use cf_local::emulator::{Emulator, Pace, REGION};
use cf_local::emulator_client::EmulatorClient;
use cf_local::tools::Tool;
use cf_local::wait;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

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

/// How long anything may take to come: many times what it takes on a quiet machine.
const WAIT_MAX: Duration = Duration::from_secs(90);

pub fn run(keep: bool, port: u16) -> Result<()> {
    headline("clusterdrop on this machine");
    println!("  Nothing leaves it: AWS is played by an emulator on 127.0.0.1, and ends with this command.\n");
    install_and_compile()?;
    let emulator = step("starting the local AWS", || Emulator::start(Some(port), Pace::DEMO))?;
    let url = emulator.url();
    step("sam build: the three functions, as they were compiled", deploy::build)?;
    prepare(&url)?;
    let alice = Alice { aws: EmulatorClient::at(&url), url };
    // The deployment went as fast as it could; a cluster is to be watched.
    alice.aws.post_json("/_clusterdrop/faults", &json!({"kind": "pace", "stack": "-alice-mycluster-", "each": 0.8}))?;
    alice.creates()?;
    alice.makes_mistakes()?;
    if keep {
        leave_running(&emulator);
    }
    alice.deletes()?;
    headline("That was the whole of it.");
    println!("  `cargo xtask demo --keep` leaves it running to be tried by hand; docs/administrators.md says how to deploy it to AWS.\n");
    Ok(())
}

/// Compiling takes the longest, so it begins as soon as its own tool is there, and the others are installed meanwhile.
fn install_and_compile() -> Result<()> {
    let install = |tool: Tool| step(&format!("tools: {}, pinned", tool.contents()), || tool.install(&|_| {}));
    thread::scope(|scope| {
        let others = scope.spawn(move || install(Tool::Emulator).and_then(|()| install(Tool::Sam)));
        install(Tool::CargoLambda)?;
        step("the three functions, in Rust (the first time takes minutes)", deploy::compile)?;
        others.join().map_err(|_| anyhow!("installing the tools panicked"))?
    })
}

fn prepare(url: &str) -> Result<()> {
    step("sam deploy: template.yaml as it is", || {
        deploy::verify_sender(url)?;
        deploy::deploy(url, &[])
    })?;
    step(&format!("the administrator gives alice a profile: s3://{CUSTOMIZER_BUCKET}/customizer/alice/configure.d/user.sh"), || {
        deploy::give_profile(url, "alice")
    })
}

/// A user, and what can be seen of her files and her cluster.
struct Alice {
    aws: EmulatorClient,
    url: String,
}

impl Alice {
    fn creates(&self) -> Result<()> {
        headline("Alice drops a file: s3://af-users-eu-west-2/home/alice/mycluster.cf-create");
        show(EXAMPLE);
        self.drops("mycluster.cf-create", EXAMPLE)?;
        println!("\n  Her status file, mycluster.cf-status, as it moves:\n");
        self.follow()?;
        headline("Her answer: mycluster.cf-created");
        show(&self.answer("mycluster.cf-created")?);
        until("the removal of mycluster.cf-create", || Ok(self.text("mycluster.cf-create")?.is_none().then_some(())))?;
        println!("  (and mycluster.cf-create is gone: it was the work item, and the work is done)");
        headline("What runs in the account");
        let stacks = self.stacks()?;
        let stack = stacks.first().context("the stack is not there")?;
        show(&format!("{} {}", text(&stack["StackName"]), text(&stack["StackStatus"])));
        for tag in stack["Tags"].as_array().into_iter().flatten() {
            show(&format!("{} = {}", text(&tag["Key"]), text(&tag["Value"])));
        }
        headline("The administrator's mail");
        let mail = until("the mail", || self.mail())?;
        show(&format!("Subject: {}\n\n{}", text(&mail["Subject"]), text(&mail["BodyText"])));
        Ok(())
    }

    /// A progress bar out of the status file: what a user sees who can see nothing else.
    fn follow(&self) -> Result<()> {
        let bar = ProgressBar::new(1);
        bar.set_style(ProgressStyle::with_template("    {bar:30.cyan/dim} {pos:>2}/{len} {msg}")?);
        let mut last = String::new();
        until("the cluster", || {
            let Some(status) = self.text("mycluster.cf-status")? else { return Ok(None) };
            let status: Value = serde_json::from_str(&status)?;
            let is_final = ["ready", "failed"].contains(&text(&status["state"]));
            if let (Some(done), Some(total)) = (status["progress"]["done"].as_u64(), status["progress"]["total"].as_u64()) {
                bar.set_length(total);
                bar.set_position(done);
            }
            if is_final {
                bar.set_position(bar.length().unwrap_or(1));
            }
            let message = text(&status["message"]);
            if message != last {
                message.clone_into(&mut last);
                bar.set_message(last.clone());
                if bar.is_hidden() {
                    println!("    {message}");
                }
            }
            bar.tick();
            Ok(is_final.then_some(()))
        })?;
        bar.finish();
        Ok(())
    }

    fn makes_mistakes(&self) -> Result<()> {
        headline("A file with three mistakes: typos.cf-create");
        show(THREE_MISTAKES);
        self.drops("typos.cf-create", THREE_MISTAKES)?;
        headline("Its answer: typos.cf-failed");
        show(&self.answer("typos.cf-failed")?);
        Ok(())
    }

    fn deletes(&self) -> Result<()> {
        headline("Alice drops another file: mycluster.cf-delete (its content is never read)");
        self.drops("mycluster.cf-delete", "")?;
        let receipt = self.answer("mycluster.cf-deleted")?;
        println!("  Her receipt, mycluster.cf-deleted, once it is gone and not before:");
        show(&receipt);
        until("the end of the work", || Ok(self.text("mycluster.cf-delete")?.is_none().then_some(())))?;
        headline("What is left in her folder, and in the account");
        let listed = self.asked(&["s3api", "list-objects-v2", "--bucket", USER_BUCKET, "--prefix", &format!("{HOME}/mycluster")])?;
        for object in listed["Contents"].as_array().into_iter().flatten() {
            show(text(&object["Key"]));
        }
        show(&format!("stacks of alice's mycluster: {}", self.stacks()?.len()));
        Ok(())
    }

    fn drops(&self, name: &str, content: &str) -> Result<()> {
        self.aws.put(USER_BUCKET, &format!("{HOME}/{name}"), content)
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        self.aws.text(USER_BUCKET, &format!("{HOME}/{name}"))
    }

    fn answer(&self, name: &str) -> Result<String> {
        until(name, || self.text(name))
    }

    /// What the AWS CLI tells.
    fn asked(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&deploy::aws(&self.url, &[args, &["--output", "json"]].concat())?)?)
    }

    /// The living stacks of her cluster.
    fn stacks(&self) -> Result<Vec<Value>> {
        let all = self.asked(&["cloudformation", "describe-stacks"])?;
        let is_hers = |stack: &&Value| {
            let has =
                |key: &str, value: &str| stack["Tags"].as_array().is_some_and(|tags| tags.contains(&json!({"Key": key, "Value": value})));
            has("USER", "alice") && has("clusterdrop:cluster", "mycluster") && stack["StackStatus"] != "DELETE_COMPLETE"
        };
        Ok(all["Stacks"].as_array().into_iter().flatten().filter(is_hers).cloned().collect())
    }

    /// The mail that tells of her cluster.
    fn mail(&self) -> Result<Option<Value>> {
        let all = self.aws.get_json("/_ministack/ses/messages")?;
        let mut mails =
            all["messages"].as_object().into_iter().flat_map(|accounts| accounts.values()).filter_map(Value::as_array).flatten();
        Ok(mails.find(|mail| text(&mail["Subject"]).contains("alice/mycluster ")).cloned())
    }
}

/// Waits until `seen` gives something.
fn until<T>(what: &str, seen: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait::until(what, WAIT_MAX, seen)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Until Ctrl-C ends us.
fn leave_running(emulator: &Emulator) -> ! {
    headline("It is running. Try it with the plain AWS CLI_PATH, in another terminal in this folder:");
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
    loop {
        thread::park();
    }
}
