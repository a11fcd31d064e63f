//! The boot of a node: its user data, as EC2 would hand them over, and the agent that they fetch, run on this machine
//! (`crates/local/src/node.rs`). What they fetch and signal goes over the wire to the emulator, so a cluster here is ready because its
//! login node says so.

mod common;

use std::path::Path;

use anyhow::{Context, Result};
use cf_core::message::node_failure;
use cf_core::names::number_of_user;
use cf_core::node_report::FailureCode;
use cf_local::deploy::{CUSTOMIZER_BUCKET, USER_BUCKET, aws};
use cf_local::node::{Machine, USER_DATA_LINES_MAX};
use cf_node::node::{Layout, Role};
use cf_node::publish::PREFIX;
use cf_node::settings::NodeSettings;
use common::nodes::{NOTE, decoded, login_node, resource, silent};
use common::{TestUser, stage_without_profile};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Writes the key that the user logs in with.
const KEY: &str = r#"#!/bin/bash
root=${0%%/var/lib/clusterdrop/*}
ssh-keygen -q -t ed25519 -N '' -f "$root/key" && cat "$root/key.pub" >> "$root/home/$(cat "$root/login")/.ssh/authorized_keys"
"#;

/// In place of the agent: notes how it was called.
const STAND_IN: &str = "#!/bin/bash\necho \"$1\" >> \"$BOOT/ran\"\n";

/// A user with these scripts.
async fn with_scripts(user: &str, scripts: &[(&str, &str)]) -> Result<TestUser> {
    let s = stage_without_profile(user).await?;
    for (name, text) in scripts {
        let key = format!("customizer/{user}/configure.d/{name}");
        s.deployment.s3.put_object().bucket(CUSTOMIZER_BUCKET).key(key).body(text.as_bytes().to_vec().into()).send().await?;
    }
    Ok(s)
}

fn machine(s: &TestUser, user_data: &str) -> Result<Machine> {
    let machine = Machine::new(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boot-{}", s.user)), user_data, &s.deployment.url)?;
    std::fs::write(machine.folder().join("login"), &s.user)?;
    Ok(machine)
}

/// The digest that user data name for this machine.
fn digest(user_data: &str) -> Result<&str> {
    let variable = if cfg!(target_arch = "aarch64") { "arm='" } else { "x86='" };
    let digest = user_data.split_once(variable).and_then(|(_, rest)| rest.split_once('\'')).map(|(digest, _)| digest);
    digest.filter(|digest| digest.len() == 64).with_context(|| format!("no digest after {variable} in {user_data}"))
}

/// Publishes another agent, under this digest or its own; and the user data that name it.
async fn naming(s: &TestUser, user_data: &str, agent: &str, name: Option<&str>) -> Result<String> {
    let own: String = Sha256::digest(agent).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = name.unwrap_or(&own);
    let put = s.deployment.s3.put_object().bucket(&s.deployment.system_bucket).key(format!("{PREFIX}{name}"));
    put.body(agent.as_bytes().to_vec().into()).send().await?;
    Ok(user_data.replace(digest(user_data)?, name))
}

/// The answer has the sentence of the code that the login node signalled.
async fn code_is_reported(s: &TestUser, code: FailureCode) -> Result<()> {
    let answer = s.answer("demo.cf-failed").await?;
    assert!(answer.contains(&node_failure(code, "")), "{code}: {answer}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_is_ready_because_the_agent_of_its_login_node_signals() -> Result<()> {
    let s = with_scripts("boot1", &[("30-last.sh", NOTE), ("10-first.sh", NOTE), ("25-key", KEY), ("lib/helper.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (user_data, instance) = login_node(&s, "{}").await?;
    let machine = machine(&s, &user_data)?;
    assert!(machine.boot(&[])?, "{}", machine.read("var/log/clusterdrop.log"));
    assert!(s.text("demo.cf-created").await?.is_none(), "nobody can log in yet");
    let agent = machine.start(&instance, "127.0.0.1", &[])?;
    s.answer("demo.cf-created").await.with_context(|| machine.read("agent-output"))?;
    assert_eq!(machine.read("ran"), "10-first.sh configure master demo\n30-last.sh configure master demo\n");
    // Its number is the same on every node, for homes are shared.
    let useradd = format!("useradd --create-home --user-group --shell /bin/bash --uid {} ", number_of_user("boot1"));
    assert!(machine.read("calls").contains(&useradd), "{}", machine.read("calls"));
    agent.end()
}

#[tokio::test]
async fn user_data_are_short_and_tell_the_agent_what_it_is() -> Result<()> {
    let s = with_scripts("boot2", &[("user.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (user_data, _) = login_node(&s, "{}").await?;
    assert!(user_data.lines().count() <= USER_DATA_LINES_MAX, "{}", user_data.lines().count());
    let machine = machine(&s, &naming(&s, &user_data, STAND_IN, None).await?)?;
    assert!(machine.boot(&[])?, "{}", machine.read("var/log/clusterdrop.log"));
    assert_eq!(machine.read("ran"), "install\n");
    assert_eq!(machine.read("dev/console"), machine.read("var/log/clusterdrop.log"));
    let settings = NodeSettings::read(&Layout::below(machine.folder()))?;
    let stack = s.only_stack("demo").await?;
    let request = stack.tags().iter().find(|tag| tag.key() == Some("clusterdrop:request")).and_then(|tag| tag.value());
    assert_eq!((settings.role, settings.cluster.as_str(), settings.user.as_str()), (Role::Master, "demo", "boot2"));
    assert_eq!((Some(settings.request.as_str()), settings.login.as_str()), (request, "boot2"));
    assert_eq!((Some(settings.stack.as_str()), settings.resource.as_str()), (stack.stack_id(), "LoginNode"));
    assert_eq!(settings.profiles().collect::<Vec<_>>(), ["boot2"]);
    assert_eq!((settings.customizer_bucket.as_str(), &settings.system_bucket), (CUSTOMIZER_BUCKET, &s.deployment.system_bucket));
    assert_eq!((settings.logs.as_str(), settings.user_bucket.as_str()), ("home/boot2/demo.logs/", USER_BUCKET));
    assert_eq!(settings.nodes_max, 4);
    let text = aws(&s.deployment.url, &["secretsmanager", "get-secret-value", "--query", "SecretString", "--secret-id", &settings.secret])?;
    assert!(text.trim().len() >= 64, "{text}");
    Ok(())
}

#[tokio::test]
async fn an_agent_of_another_digest_is_not_started_and_the_user_is_told() -> Result<()> {
    let s = with_scripts("boot3", &[("user.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (user_data, _) = login_node(&s, "{}").await?;
    let wrong = "3".repeat(64);
    let machine = machine(&s, &naming(&s, &user_data, STAND_IN, Some(&wrong)).await?)?;
    assert!(!machine.boot(&[])?);
    assert_eq!(machine.read("ran"), "", "what was fetched has not run");
    assert!(machine.read("var/log/clusterdrop.log").contains("is not the agent of this digest"));
    code_is_reported(&s, FailureCode::AgentRefused).await
}

#[tokio::test]
async fn a_node_that_cannot_fetch_its_agent_gives_up_in_time() -> Result<()> {
    let s = with_scripts("boot4", &[("user.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (user_data, _) = login_node(&s, "{}").await?;
    let machine = machine(&s, &user_data.replace(digest(&user_data)?, &"4".repeat(64)))?;
    // Bash counts on from here: all but a second of the four minutes is over.
    assert!(!machine.boot(&[("SECONDS", "240")])?);
    assert!(machine.read("var/log/clusterdrop.log").contains("cannot be fetched"));
    code_is_reported(&s, FailureCode::AgentRefused).await
}

#[tokio::test]
async fn a_new_role_that_s3_does_not_know_yet_and_a_signal_that_is_lost_are_tried_again() -> Result<()> {
    let s = with_scripts("boot5", &[("user.sh", NOTE)]).await?;
    let _silent = s.fault(&silent(&s))?;
    let (user_data, _) = login_node(&s, "{}").await?;
    let failing = "#!/bin/bash\necho \"$1\" >> \"$BOOT/ran\"\nexit 1\n# boot5\n";
    let user_data = naming(&s, &user_data, failing, None).await?;
    let name = digest(&user_data)?.to_owned();
    let unknown = json!({"kind": "call", "call": "s3.GetObject", "text": name, "error": "AccessDenied", "status": 403, "times": 2});
    let lost = json!({"kind": "call", "call": "cloudformation.SignalResource", "text": "agent-failed", "error": "Throttling", "times": 2});
    let (_unknown, _lost) = (s.fault(&unknown)?, s.fault(&lost)?);
    let machine = machine(&s, &user_data)?;
    assert!(!machine.boot(&[])?);
    assert_eq!(machine.read("ran"), "install\n");
    assert_eq!(
        machine.read("calls").lines().filter(|call| call.starts_with("sleep")).collect::<Vec<_>>(),
        ["sleep 3", "sleep 3", "sleep 10", "sleep 10"]
    );
    code_is_reported(&s, FailureCode::AgentFailed).await
}

/// Boots a login node, lets its real agent start, and waits for the failure that it signals.
async fn fails_with(s: &TestUser, prepare: impl AsyncFnOnce(&Machine) -> Result<()>, code: FailureCode) -> Result<Machine> {
    let _silent = s.fault(&silent(s))?;
    let (user_data, instance) = login_node(s, "{}").await?;
    let machine = machine(s, &user_data)?;
    prepare(&machine).await?;
    assert!(machine.boot(&[])?, "{}", machine.read("var/log/clusterdrop.log"));
    let _agent = machine.start(&instance, "127.0.0.1", &[])?;
    code_is_reported(s, code).await.with_context(|| machine.read("agent-output"))?;
    Ok(machine)
}

#[tokio::test]
async fn without_a_key_nobody_could_log_in_and_the_user_is_told() -> Result<()> {
    let s = with_scripts("boot8", &[("10-first.sh", NOTE)]).await?;
    let machine = fails_with(&s, async |_: &Machine| Ok(()), FailureCode::NoUsableSshKey).await?;
    assert_eq!(machine.read("ran"), "10-first.sh configure master demo\n");
    Ok(())
}

#[tokio::test]
async fn a_profile_of_nothing_that_runs_is_told() -> Result<()> {
    let s = with_scripts("boot9", &[(".hidden.sh", NOTE), ("lib/helper.sh", NOTE), ("user.sh", NOTE)]).await?;
    // Past triage, and then somebody takes the only script away.
    let take_away = async |_: &Machine| {
        let key = "customizer/boot9/configure.d/user.sh";
        s.deployment.s3.delete_object().bucket(CUSTOMIZER_BUCKET).key(key).send().await?;
        Ok(())
    };
    let machine = fails_with(&s, take_away, FailureCode::ProfileHasNoScripts).await?;
    assert_eq!(machine.read("ran"), "");
    Ok(())
}

#[tokio::test]
async fn an_account_of_the_image_is_never_handed_to_a_user() -> Result<()> {
    let s = with_scripts("boot10", &[("10-key.sh", KEY)]).await?;
    let with_account =
        async |machine: &Machine| Ok(std::fs::write(machine.folder().join("passwd"), "boot10:x:995:995::/var/lib/boot10:/sbin/nologin\n")?);
    let machine = fails_with(&s, with_account, FailureCode::AccountRefused).await?;
    assert_eq!(machine.read("ran") + &machine.read("key.pub"), "", "nothing of the profile ran");
    Ok(())
}

#[tokio::test]
async fn a_compute_node_fetches_the_same_agent_and_signals_nothing() -> Result<()> {
    let s = with_scripts("boot7", &[("user.sh", NOTE)]).await?;
    s.drop("demo.cf-create", "{}").await?;
    s.answer("demo.cf-created").await?;
    let template = resource(&s, "SpotLaunchTemplate").await?.context("the stack has no launch template")?;
    let asked = ["ec2", "describe-launch-template-versions", "--output", "text"];
    let asked = [&asked[..], &["--query", "LaunchTemplateVersions[0].LaunchTemplateData.UserData", "--launch-template-id", &template]];
    let user_data = decoded(&aws(&s.deployment.url, &asked.concat())?)?;
    let good = machine(&s, &naming(&s, &user_data, STAND_IN, None).await?)?;
    assert!(good.boot(&[])?);
    let settings = NodeSettings::read(&Layout::below(good.folder()))?;
    assert_eq!((settings.role, settings.resource.as_str(), settings.logs.as_str()), (Role::Slave, "", ""));
    let wrong = machine(&s, &naming(&s, &user_data, STAND_IN, Some(&"7".repeat(64))).await?)?;
    assert!(!wrong.boot(&[])?);
    assert_eq!(wrong.read("ran"), "");
    assert!(s.calls("call=cloudformation.SignalResource")?.iter().all(|call| !call.to_string().contains("boot7")));
    Ok(())
}
