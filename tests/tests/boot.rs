//! The boot of a node: its user data, as EC2 would hand it over, run on this machine (see `tests/node`). What it fetches and
//! signals goes over the wire to the emulator, so a cluster here is ready because its login node says so.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cf_core::message::Advice;
use cf_core::profile;
use cf_e2e::messages;
use cf_local::deploy::{CUSTOMIZER_BUCKET, aws};
use cf_local::root;
use cf_local::tools::{Tool, path_with};
use common::{TestUser, stage_without_profile};
use serde_json::json;

/// Writes the key that the user logs in with.
const KEY: &str = r#"#!/bin/bash
home=$(getent passwd "$(cat "$BOOT/login")" | cut -d: -f6)
ssh-keygen -q -t ed25519 -N '' -f "$BOOT/key" && cat "$BOOT/key.pub" >> "$home/.ssh/authorized_keys"
"#;

/// Notes that it ran, and with which arguments.
const NOTE: &str = "#!/bin/bash\necho \"${0##*/} $*\" >> \"$BOOT/ran\"\n";

/// A machine with nothing but our programs, and what happened on it.
struct Node {
    boot: PathBuf,
    script: String,
    url: String,
}

impl Node {
    /// A machine about to boot with these user data (base64, as EC2 takes them).
    fn new(s: &TestUser, user_data: &str) -> Result<Self> {
        let boot = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boot-{}", s.user));
        if boot.exists() {
            fs::remove_dir_all(&boot)?;
        }
        for folder in ["log", "opt", "etc"] {
            fs::create_dir_all(boot.join(folder))?;
        }
        fs::write(boot.join("passwd"), "root:x:0:0:root:/root:/bin/bash\n")?;
        fs::write(boot.join("login"), &s.user)?;
        let mut script = String::from_utf8(aws_smithy_types::base64::decode(user_data.trim())?)?;
        assert!(script.starts_with("#!/bin/bash\n") && script.len() < 16 * 1024, "EC2 takes 16 KiB: {}", script.len());
        let to = boot.display();
        for (there, here) in [
            ("/var/log/clusterdrop.log", format!("{to}/log/clusterdrop.log")),
            ("/dev/console", format!("{to}/console")),
            ("/opt/clusterdrop", format!("{to}/opt/clusterdrop")),
            ("/etc/motd.d", format!("{to}/etc/motd.d")),
        ] {
            assert!(script.contains(there), "the boot script has no {there} any more: mend this test");
            script = script.replace(there, &here);
        }
        Ok(Self { boot, script, url: s.deployment.url.clone() })
    }

    /// Boots; whether the script ended well.
    fn boot(&self, instance: &str, environment: &[(&str, &str)]) -> Result<bool> {
        let programs = format!("{}:{}", root().join("tests/node").display(), path_with(&[Tool::Emulator]));
        let user_data = self.boot.join("user-data");
        fs::write(&user_data, &self.script)?;
        let status = Command::new("bash")
            .arg(user_data)
            .env("PATH", programs)
            .env("BOOT", &self.boot)
            .env("BOOT_INSTANCE", instance)
            .env("AWS_ENDPOINT_URL", &self.url)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .envs(environment.iter().copied())
            .status()
            .context("bash is on every machine that this runs on")?;
        Ok(status.success())
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.boot.join(path)).unwrap_or_default()
    }

    /// Waits for a line in the log, which a second process writes.
    async fn logged(&self, s: &TestUser, text: &str) -> Result<()> {
        let seen = s.deployment.until(text, async || Ok(self.read("log/clusterdrop.log").contains(text).then_some(()))).await;
        seen.with_context(|| self.read("log/clusterdrop.log"))?;
        assert!(self.read("console").contains(text), "the console has what the log has");
        Ok(())
    }
}

/// A user with these scripts.
async fn with_scripts(user: &str, scripts: &[(&str, &str)]) -> Result<TestUser> {
    let s = stage_without_profile(user).await?;
    for (name, text) in scripts {
        let key = format!("customizer/{user}/configure.d/{name}");
        s.deployment.s3.put_object().bucket(CUSTOMIZER_BUCKET).key(key).body(text.as_bytes().to_vec().into()).send().await?;
    }
    Ok(s)
}

/// Drops a request, waits until its login node is there, and gives that node and its instance id. Nobody signals but the node.
async fn login_node(s: &TestUser) -> Result<(Node, String)> {
    s.drop("demo.cf-create", "{}").await?;
    let instance = s
        .deployment
        .until("the login node", async || {
            let Some(stack) = s.stacks("demo").await?.pop() else { return Ok(None) };
            let nodes = s.deployment.cloudformation.describe_stack_resources();
            let nodes = nodes.set_stack_name(stack.stack_id).logical_resource_id("LoginNode").send().await;
            let found = nodes.ok().and_then(|n| n.stack_resources().first().and_then(|r| r.physical_resource_id().map(str::to_owned)));
            Ok(found.filter(|id| id.starts_with("i-")))
        })
        .await?;
    let asked = ["ec2", "describe-instance-attribute", "--attribute", "userData", "--query", "UserData.Value", "--output", "text"];
    let user_data = aws(&s.deployment.url, &[&asked[..], &["--instance-id", &instance]].concat())?;
    Ok((Node::new(s, &user_data)?, instance))
}

/// The answer gives the verdict that the login node signalled, among AWS's words.
async fn verdict_is_told(s: &TestUser, verdict: &str) -> Result<()> {
    let answer = s.answer("demo.cf-failed").await?;
    let told = messages::failed("demo", &messages::login_node("<reason>", Advice::CheckScripts));
    let reason = told.iter().find_map(|message| messages::in_place_of("<reason>", message, &answer));
    assert!(reason.is_some_and(|reason| reason.contains(verdict)), "{answer}");
    Ok(())
}

fn silent(s: &TestUser) -> serde_json::Value {
    json!({"kind": "node", "stack": format!("clusterdrop-{}-", s.user), "signal": "never"})
}

#[tokio::test]
async fn a_login_node_makes_the_account_runs_the_scripts_in_order_tells_of_a_bad_one_and_signals() -> Result<()> {
    let broken = "#!/bin/bash\necho 'no such package: gromacs'\nexit 3\n";
    let s = with_scripts(
        "boot1",
        &[
            // As S3's console makes a folder.
            ("", ""),
            ("30-last.sh", NOTE),
            ("10-first.sh", NOTE),
            ("20-broken.sh", broken),
            ("25-key", KEY),
            (".hidden.sh", NOTE),
            ("30-last.sh~", NOTE),
            ("lib/helper.sh", NOTE),
            ("README.txt", NOTE),
            ("7-placeholder.sh", ""),
            ("5-before-ten-only-in-numbers.sh", NOTE),
        ],
    )
    .await?;
    let _silent = s.fault(&silent(&s))?;
    let (node, instance) = login_node(&s).await?;
    assert!(s.text("demo.cf-created").await?.is_none(), "nobody can log in yet");
    assert!(node.boot(&instance, &[])?);
    s.answer("demo.cf-created").await?;
    assert_eq!(
        node.read("ran"),
        "10-first.sh configure master demo\n30-last.sh configure master demo\n5-before-ten-only-in-numbers.sh configure master demo\n"
    );
    node.logged(&s, "script 20-broken.sh ended with code 3").await?;
    node.logged(&s, "no such package: gromacs").await?;
    node.logged(&s, "verdict: ready").await?;
    let greeting = node.read("etc/motd.d/clusterdrop");
    assert!(greeting.contains("Cluster demo, master node.") && greeting.contains("20-broken.sh (exit code 3)"), "{greeting}");
    assert!(node.read("calls").contains("useradd --create-home --shell /bin/bash boot1\n"), "{}", node.read("calls"));
    Ok(())
}

#[tokio::test]
async fn without_a_key_nobody_could_log_in_and_the_user_is_told() -> Result<()> {
    let s = with_scripts("boot2", &[("10-first.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (node, instance) = login_node(&s).await?;
    assert!(!node.boot(&instance, &[])?);
    verdict_is_told(&s, "no-usable-ssh-key").await?;
    Ok(())
}

#[tokio::test]
async fn a_profile_of_nothing_that_runs_is_told() -> Result<()> {
    let s = with_scripts("boot3", &[(".hidden.sh", NOTE), ("lib/helper.sh", NOTE), ("user.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (node, instance) = login_node(&s).await?;
    // Past triage, and then somebody takes the only script away.
    s.deployment.s3.delete_object().bucket(CUSTOMIZER_BUCKET).key("customizer/boot3/configure.d/user.sh").send().await?;
    assert!(!node.boot(&instance, &[])?);
    verdict_is_told(&s, "profile-has-no-scripts").await?;
    assert_eq!(node.read("ran"), "");
    Ok(())
}

/// The functions' triage and the boot script, put to one list of names.
#[test]
fn the_gate_and_the_node_choose_the_same_scripts() -> Result<()> {
    let text = cf_core::template::DEFAULT_TEXT;
    let begin = text.find("        is_script() {").context("the boot script has the rule")?;
    let end = begin + text[begin..].find("\n        }\n").context("which ends somewhere")?;
    let rule = format!("{}\n}}\n", text[begin..end].replace("\n        ", "\n"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rule");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(folder.join("a-folder.sh"))?;
    for (name, size, _) in profile::EXAMPLES {
        fs::write(folder.join(name), "\n".repeat(usize::try_from(*size)?))?;
    }
    let run = format!(
        "set -uo pipefail; export LC_ALL=C\n{rule}for s in \"$1\"/*; do is_script \"$s\" && printf '%s\\0' \"${{s##*/}}\"; done; true"
    );
    let output = Command::new("bash").args(["-c", &run, "bash"]).arg(&folder).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout)?;
    let chosen: BTreeSet<&str> = printed.split_terminator('\0').collect();
    let expected: BTreeSet<&str> = profile::EXAMPLES.iter().filter(|(_, _, runs)| *runs).map(|(name, ..)| *name).collect();
    assert_eq!(chosen, expected);
    assert!(profile::EXAMPLES.iter().all(|(name, size, runs)| profile::is_script(name, *size) == *runs));
    Ok(())
}

#[tokio::test]
async fn an_account_of_the_image_is_never_handed_to_a_user() -> Result<()> {
    let s = with_scripts("boot4", &[("10-key.sh", KEY)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (node, instance) = login_node(&s).await?;
    fs::write(node.boot.join("passwd"), "boot4:x:995:995::/var/lib/boot4:/sbin/nologin\n")?;
    assert!(!node.boot(&instance, &[])?);
    verdict_is_told(&s, "login-name-is-taken").await?;
    assert_eq!(node.read("ran") + &node.read("key.pub"), "", "nothing of the profile ran");
    Ok(())
}

#[tokio::test]
async fn a_signal_that_is_lost_is_sent_again() -> Result<()> {
    let s = with_scripts("boot5", &[("10-key.sh", KEY)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (node, instance) = login_node(&s).await?;
    fs::write(node.boot.join("signals-lost"), "1\n2\n")?;
    assert!(node.boot(&instance, &[])?);
    s.answer("demo.cf-created").await?;
    let signals = node.read("calls").lines().filter(|l| l.starts_with("cfn-signal --exit-code 0")).count();
    assert_eq!(signals, 3);
    Ok(())
}

#[tokio::test]
async fn scripts_that_hang_cannot_keep_the_node_from_signalling_in_time() -> Result<()> {
    let hangs = "#!/bin/bash\nexec /bin/sleep 600\n";
    let s = with_scripts("boot6", &[("10-key.sh", KEY), ("20-hangs.sh", hangs), ("30-late.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (node, instance) = login_node(&s).await?;
    // Bash counts on from here: 24 minutes are 1,440 s, and the scripts find all but 25 of them used.
    assert!(node.boot(&instance, &[("SECONDS", "1415")])?);
    s.answer("demo.cf-created").await?;
    node.logged(&s, "script 20-hangs.sh ended with code 124").await?;
    node.logged(&s, "script 30-late.sh is not run: no time is left").await?;
    let greeting = node.read("etc/motd.d/clusterdrop");
    assert!(greeting.contains("20-hangs.sh (exit code 124)") && greeting.contains("30-late.sh (not run"), "{greeting}");
    assert_eq!(node.read("ran"), "");
    Ok(())
}

#[tokio::test]
async fn a_compute_node_runs_the_same_scripts_and_signals_nothing() -> Result<()> {
    let s = with_scripts("boot7", &[("10-key.sh", KEY), ("20-note.sh", NOTE)]).await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let stack = s.only_stack("demo").await?;
    let resources = s.deployment.cloudformation.describe_stack_resources();
    let template = resources.set_stack_name(stack.stack_id).logical_resource_id("ComputeLaunchTemplate").send().await?;
    let Some(template) = template.stack_resources().first().and_then(|r| r.physical_resource_id()) else { bail!("no launch template") };
    let asked = ["ec2", "describe-launch-template-versions", "--output", "text"];
    let asked = [&asked[..], &["--query", "LaunchTemplateVersions[0].LaunchTemplateData.UserData", "--launch-template-id", template]];
    let node = Node::new(&s, &aws(&s.deployment.url, &asked.concat())?)?;
    assert!(node.boot("i-0compute", &[])?);
    assert_eq!(node.read("ran"), "20-note.sh configure slave demo\n");
    assert!(!node.read("calls").contains("cfn-signal"), "{}", node.read("calls"));
    node.logged(&s, "verdict: ready").await
}
