//! A user's cluster whose nodes run on this machine, each at a loopback address of its own, below a folder that stands for its disk. Their
//! agent is the one that `sam deploy` has published, fetched and installed by the user data of the cluster's stack.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, Result, bail};
use cf_local::deploy::{CUSTOMIZER_BUCKET, aws};
use cf_local::node::{Agent, Machine};
use cf_node::jobs::Keys;
use cf_node::node::Layout;
use cf_node::settings::NodeSettings;
use serde_json::Value;

use crate::common::nodes::{login_node, resource, silent, user_data};
use crate::common::{TestUser, stage_without_profile};

const REQUEST: &str = r#"{"ComputeInitialNodes": "0", "ComputeMaxNodes": "4"}"#;

/// Machines in the Auto Scaling group, which stands in for the scheduler's wishes here; each boots when a test adds it.
const MACHINES: usize = 2;

/// The login node among the nodes of a cluster.
pub const LOGIN: usize = 0;

/// AWS keys of a person, who is no node.
pub const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// A user, the user's cluster `demo`, and its nodes.
pub struct Cluster {
    pub user: TestUser,
    nodes: Vec<Node>,
    /// The instances of the group that have not booted.
    waiting: Option<Vec<String>>,
}

struct Node {
    machine: Machine,
    instance: String,
    address: Ipv4Addr,
    agent: Option<Agent>,
    boots: u32,
}

/// What a command left.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Node {
    fn start(&mut self) -> Result<()> {
        self.boots += 1;
        let boot = format!("boot-{}", self.boots);
        self.agent = Some(self.machine.start(&self.instance, &self.address.to_string(), &["--boot", &boot])?);
        Ok(())
    }

    /// Whether its agent runs, where it is to.
    fn check(&mut self) -> Result<()> {
        let Some(agent) = &mut self.agent else { return Ok(()) };
        if agent.runs()? { Ok(()) } else { bail!("the agent ended by itself: {}", self.machine.end_of_log()) }
    }
}

impl Cluster {
    /// A user with these files in the own profile, and a script that writes the key to log in with. There is no cluster yet.
    pub async fn of(user: &str, profile: &[(&str, &str)]) -> Result<Self> {
        let user = stage_without_profile(user).await?;
        user.fault(&silent(&user))?.keep();
        let cluster = Self { user, nodes: Vec::new(), waiting: None };
        cluster.put_own("configure.d/00-key.sh", &key(&cluster.user.user)).await?;
        for (path, text) in profile {
            cluster.put_own(path, text).await?;
        }
        Ok(cluster)
    }

    /// The same, with the login node at work, ready.
    pub async fn ready(user: &str, profile: &[(&str, &str)]) -> Result<Self> {
        let mut cluster = Self::of(user, profile).await?;
        cluster.order(str::to_owned).await?;
        cluster.start(LOGIN).await?;
        Ok(cluster)
    }

    /// Uploads the request, and boots the login node up to the start of its agent. `change` makes its user data those of another site.
    pub async fn order(&mut self, change: impl Fn(&str) -> String) -> Result<()> {
        let (text, instance) = login_node(&self.user, REQUEST).await?;
        self.boot(&instance, &change(&text))
    }

    fn boot(&mut self, instance: &str, user_data: &str) -> Result<()> {
        let number = self.nodes.len() + 1;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("customize-{}-{number}", self.user.user));
        let machine = Machine::new(&folder, user_data, &self.user.deployment.url)?;
        machine.make_host_key()?;
        if !machine.boot(&[])? {
            bail!("the user data failed: {}", machine.end_of_log());
        }
        let address = free_address();
        self.nodes.push(Node { machine, instance: instance.to_owned(), address, agent: None, boots: 0 });
        Ok(())
    }

    /// Boots the login node again in another machine, whose user data are changed. The one before has ended.
    pub fn replace_login_node(&mut self, change: impl Fn(&str) -> String) -> Result<usize> {
        let instance = self.nodes[LOGIN].instance.clone();
        let text = user_data(&self.user, &instance)?;
        self.boot(&instance, &change(&text))?;
        Ok(self.nodes.len() - 1)
    }

    /// Starts the agent of the login node, and waits until the cluster is ready.
    pub async fn start(&mut self, login: usize) -> Result<()> {
        self.nodes[login].start()?;
        let answer = self.user.answer("demo.cf-created").await;
        answer.map(drop).with_context(|| self.nodes[login].machine.end_of_log())
    }

    /// Starts the agent of a node, and waits for nothing.
    pub fn begin(&mut self, nth: usize) -> Result<()> {
        self.nodes[nth].start()
    }

    /// Ends the agent of a node, as the end of its machine does.
    pub fn end(&mut self, nth: usize) -> Result<()> {
        self.nodes[nth].agent.take().context("its agent does not run")?.end()
    }

    /// Boots the next machine of the group, and waits until it is a node that is ready.
    pub async fn add(&mut self) -> Result<usize> {
        let waiting = match self.waiting.take() {
            Some(waiting) => waiting,
            None => self.instances().await?,
        };
        let (instance, rest) = waiting.split_first().context("the group has no more machines")?;
        let text = user_data(&self.user, instance)?;
        self.waiting = Some(rest.to_vec());
        self.boot(instance, &text)?;
        let nth = self.nodes.len() - 1;
        self.nodes[nth].start()?;
        let name = self.until(nth, "its name", |machine| Ok(members(machine).map(|(name, _)| name))).await?;
        self.is_ready(nth, &name).await?;
        Ok(nth)
    }

    /// Has the group start its machines.
    async fn instances(&self) -> Result<Vec<String>> {
        let group = resource(&self.user, "SpotGroup").await?.context("the stack has no Auto Scaling group")?;
        let url = &self.user.deployment.url;
        let wanted = MACHINES.to_string();
        aws(url, &["autoscaling", "set-desired-capacity", "--auto-scaling-group-name", &group, "--desired-capacity", &wanted])?;
        let asked = ["autoscaling", "describe-auto-scaling-groups", "--query", "AutoScalingGroups[0].Instances[].InstanceId"];
        let asked = [&asked[..], &["--output", "text", "--auto-scaling-group-names", &group]].concat();
        let started = self.user.deployment.until("the machines of the group", async || {
            let instances: Vec<String> = aws(url, &asked)?.split_whitespace().map(str::to_owned).collect();
            Ok((instances.len() == MACHINES).then_some(instances))
        });
        started.await
    }

    async fn is_ready(&mut self, nth: usize, name: &str) -> Result<()> {
        let (bucket, key) = (self.user.deployment.system_bucket.clone(), self.keys()?.prefix().replace("jobs/", &format!("{name}.json")));
        let what = format!("the report of {name} that it is ready");
        let ready = self.user.deployment.until(&what, async || {
            self.nodes[nth].check()?;
            let Some(report) = self.user.deployment.object(&bucket, &key).await? else { return Ok(None) };
            Ok((serde_json::from_str::<Value>(&report)?["state"] == "ready").then_some(()))
        });
        let ready = ready.await;
        ready.with_context(|| self.nodes[nth].machine.end_of_log())
    }

    /// Waits until each node has run its scripts of so many joins, which a test's own are not to be mixed with. The own profile notes them.
    pub async fn all_have_met(&mut self, wanted: usize) -> Result<()> {
        for nth in 0..self.nodes.len() {
            let joins = |machine: &Machine| machine.read("ran").lines().filter(|line| line.contains(" member-join ")).count();
            let have_run = |machine: &Machine| Ok((joins(machine) == wanted).then_some(()));
            self.until(nth, &format!("{wanted} joins"), have_run).await?;
        }
        Ok(())
    }

    /// Waits until a machine shows something. Where it does not come, the error has the last lines of its log.
    pub async fn until<T>(&mut self, nth: usize, what: &str, mut seen: impl FnMut(&Machine) -> Result<Option<T>>) -> Result<T> {
        let Self { user, nodes, .. } = self;
        let node = &mut nodes[nth];
        let what = format!("{what}, on node {nth}");
        let found = user.deployment.until(&what, async || {
            node.check()?;
            seen(&node.machine)
        });
        let found = found.await;
        found.with_context(|| format!("{}\nran: {}", node.machine.end_of_log(), node.machine.read("ran")))
    }

    /// Waits until the scripts of a node have noted exactly these lines.
    pub async fn has_run(&mut self, nth: usize, lines: &[&str]) -> Result<()> {
        let wanted: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let is_there = |machine: &Machine| Ok((machine.read("ran").lines().count() >= lines.len()).then_some(()));
        self.until(nth, &format!("{} lines of scripts", lines.len()), is_there).await?;
        assert_eq!(self.machine(nth).read("ran"), wanted);
        Ok(())
    }

    /// Forgets what scripts have noted on a node.
    pub fn forget(&self, nth: usize) -> Result<()> {
        Ok(std::fs::write(self.machine(nth).folder().join("ran"), "")?)
    }

    pub fn machine(&self, nth: usize) -> &Machine {
        &self.nodes[nth].machine
    }

    /// The address of a node.
    pub fn address(&self, nth: usize) -> Ipv4Addr {
        self.nodes[nth].address
    }

    /// What `cf-node customize` prints on a node, where all is well; the words are separated by spaces.
    pub fn customize(&self, nth: usize, words: &str) -> Result<String> {
        self.machine(nth).ask(&split(words))
    }

    /// How `cf-node customize` ends on a node, with these variables.
    pub fn tried(&self, nth: usize, words: &str, environment: &[(&str, &str)]) -> Result<Ended> {
        let output = self.machine(nth).run(&split(words), environment)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) })
    }

    /// `cf-node customize` is refused on a node: nothing was done, and its words say this.
    pub fn refused(&self, nth: usize, words: &str, because: &str) -> Result<()> {
        let ended = self.tried(nth, words, &[])?;
        assert_eq!(ended.code, Some(2), "{words}: {ended:?}");
        assert!(ended.err.contains(because), "{words}: {ended:?}");
        assert_eq!(ended.out, "", "{words}");
        Ok(())
    }

    /// Writes a file on a node's disk.
    pub fn write(&self, nth: usize, path: &str, text: &str) -> Result<PathBuf> {
        let path = self.machine(nth).folder().join(path);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Puts a file of a profile, as an administrator does: `<profile>/<path>`.
    pub async fn put(&self, path: &str, text: &str) -> Result<()> {
        self.user.deployment.put(CUSTOMIZER_BUCKET, &format!("customizer/{path}"), text).await
    }

    /// Puts a file of the user's own profile.
    pub async fn put_own(&self, path: &str, text: &str) -> Result<()> {
        self.put(&format!("{}/{path}", self.user.user), text).await
    }

    /// Removes a file of a profile.
    pub async fn remove(&self, path: &str) -> Result<()> {
        self.user.deployment.s3.delete_object().bucket(CUSTOMIZER_BUCKET).key(format!("customizer/{path}")).send().await?;
        Ok(())
    }

    /// Where the cluster's jobs lie in the system bucket.
    pub fn keys(&self) -> Result<Keys> {
        Ok(Keys::of(&NodeSettings::read(&Layout::below(self.machine(LOGIN).folder()))?)?)
    }
}

/// An address that no other node has: no two processes have the same part of the loopback network, and no two nodes of one the same number
/// in it.
fn free_address() -> Ipv4Addr {
    static LAST: AtomicU8 = AtomicU8::new(0);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + high % 128, low, LAST.fetch_add(1, Ordering::Relaxed) + 1)
}

fn split(words: &str) -> Vec<&str> {
    std::iter::once("customize").chain(words.split_whitespace()).collect()
}

/// The name of a node and how many members it knows; `None` where it does not know yet.
fn members(machine: &Machine) -> Option<(String, usize)> {
    let listed: Value = serde_json::from_str(&machine.ask(&["members", "--json"]).ok()?).ok()?;
    Some((listed["name"].as_str()?.to_owned(), listed["members"].as_array()?.len()))
}

/// The script that lets the user log in, to the login node.
fn key(user: &str) -> String {
    format!(
        "#!/bin/bash\n[ \"$2\" = master ] || exit 0\n\
         echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGzav34rq35mysOegoVG8PKxMvsaD/+mZl4xLEfOTmUM {user}@laptop' \
         > \"${{0%%/var/lib/clusterdrop/*}}/home/{user}/.ssh/authorized_keys\"\n"
    )
}
