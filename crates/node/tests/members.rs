//! Real agents on loopback addresses: processes of `cf-node gossip`, killed and restarted, and an attacker on the wire.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cf-node");
/// A killed node is known dead after some seven seconds; a busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(40);

/// Waits until something is there.
fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "never seen within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A cluster of agents in a folder.
struct Cluster {
    folder: tempfile::TempDir,
    port: u16,
    agents: BTreeMap<String, Agent>,
}

struct Agent {
    process: Child,
    address: SocketAddr,
    root: PathBuf,
    /// What it printed: a JSON object for each change.
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Cluster {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), [42; 32]).unwrap();
        // A port that is free on one address of the loopback network is free on all that only this test uses.
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder, port, agents: BTreeMap::new() }
    }

    fn of_five() -> Self {
        let mut cluster = Self::new();
        for (name, host) in [("login1", 1), ("compute-1", 2), ("compute-2", 3), ("compute-3", 4), ("compute-4", 5)] {
            cluster.start(name, host);
        }
        cluster.wait_for(&["login1", "compute-1", "compute-2", "compute-3", "compute-4"]);
        cluster
    }

    fn root(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn address(&self, host: u8) -> SocketAddr {
        SocketAddr::from(([127, 77, 0, host], self.port))
    }

    fn start(&mut self, name: &str, host: u8) {
        let root = self.root(name);
        std::fs::create_dir_all(root.join("etc")).unwrap();
        if !root.join("etc/hosts").exists() {
            std::fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
        }
        let address = self.address(host);
        let mut command = Command::new(PROGRAM);
        command.args(["gossip", "--name", name, "--tag", "aws_machinetype=c5.large", "--root"]).arg(&root);
        command
            .args(["--bind", &address.to_string(), "--seed", &self.address(1).to_string(), "--key-file"])
            .arg(self.folder.path().join("key"));
        let log = std::fs::File::options().create(true).append(true).open(root.join("log")).unwrap();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (printed, into) = (BufReader::new(process.stdout.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in printed.lines().map_while(Result::ok) {
                into.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        self.agents.insert(name.to_owned(), Agent { process, address, root, lines });
    }

    fn kill(&mut self, name: &str) {
        self.agents.remove(name).unwrap();
    }

    /// Waits until every agent lists exactly these.
    fn wait_for(&self, names: &[&str]) {
        for agent in self.agents.values() {
            wait(&format!("{names:?} in {}", agent.root.display()), || (agent.listed() == names).then_some(()));
        }
    }

    /// Waits until every agent has a table of hosts with this text.
    fn wait_for_hosts(&self, text: &str) {
        for agent in self.agents.values() {
            let path = agent.root.join("etc/hosts");
            wait(&format!("{text} in {}", path.display()), || (std::fs::read_to_string(&path).ok()? == text).then_some(()));
        }
    }

    fn hosts(&self, members: &[(&str, u8)]) -> String {
        let lines: String = members.iter().map(|(name, host)| format!("{}\t{name}\n", self.address(*host).ip())).collect();
        format!("127.0.0.1 localhost\n# clusterdrop members begin\n{lines}# clusterdrop members end\n")
    }
}

impl Agent {
    fn state(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(self.root.join("var/lib/clusterdrop/members.json")).ok()?).ok()
    }

    fn listed(&self) -> Vec<String> {
        let state = self.state().unwrap_or_default();
        state["members"].as_array().into_iter().flatten().map(|member| member["name"].as_str().unwrap().to_owned()).collect()
    }

    /// The changes of one member that it printed: event, and the whole line.
    fn changes_of(&self, name: &str) -> Vec<Value> {
        self.lines.lock().unwrap().iter().filter(|line| line["name"] == name).cloned().collect()
    }

    fn events_of(&self, name: &str) -> Vec<String> {
        self.changes_of(name).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect()
    }
}

fn list(root: &Path, arguments: &[&str]) -> (bool, String, String) {
    let done = Command::new(PROGRAM).arg("members").args(arguments).arg("--root").arg(root).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.success(), text(done.stdout), text(done.stderr))
}

#[test]
fn five_agents_find_each_other_and_a_killed_one_leaves_everywhere() {
    let mut cluster = Cluster::of_five();
    cluster.wait_for_hosts(&cluster.hosts(&[("login1", 1), ("compute-1", 2), ("compute-2", 3), ("compute-3", 4), ("compute-4", 5)]));
    let (done, table, doubts) = list(&cluster.root("compute-2"), &[]);
    assert!(done && doubts.is_empty(), "{doubts}");
    assert_eq!(table.lines().count(), 6);
    assert!(table.lines().nth(1).unwrap().starts_with("login1     127.77.0.1  master  "), "{table}");
    let (_, json, _) = list(&cluster.root("compute-2"), &["--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["running"], json["members"].as_array().unwrap().len()), (&Value::Bool(true), 5));

    let begin = Instant::now();
    cluster.kill("compute-3");
    cluster.wait_for(&["login1", "compute-1", "compute-2", "compute-4"]);
    println!("a killed agent has left everywhere after {:?}", begin.elapsed());
    cluster.wait_for_hosts(&cluster.hosts(&[("login1", 1), ("compute-1", 2), ("compute-2", 3), ("compute-4", 5)]));
    let (done, _, doubts) = list(&cluster.root("compute-3"), &[]);
    assert!(done && doubts.contains("the agent is not running on this node; this is the list of "), "{doubts}");
}

#[test]
fn b10_a_join_is_seen_on_every_node_with_a_readable_file_also_on_the_joiner() {
    let cluster = Cluster::of_five();
    for agent in cluster.agents.values() {
        let line = wait("compute-1 has joined", || agent.changes_of("compute-1").into_iter().next());
        assert_eq!((&line["event"], &line["ip"]), (&Value::from("member-join"), &Value::from("127.77.0.2")));
        let file = agent.root.join("var/lib/clusterdrop/members/compute-1");
        assert_eq!(line["file"].as_str(), file.to_str());
        let content = "cw_MEMBER_ip='127.77.0.2'\ncw_MEMBER_role='slave'\ncw_MEMBER_tags='aws_machinetype=c5.large'\n";
        assert_eq!(line["content"], content);
        assert_eq!(std::fs::read_to_string(file).unwrap(), content);
    }
}

#[test]
fn b11_a_leave_and_a_loss_are_seen_on_the_others_with_a_file_that_names_the_member() {
    let mut cluster = Cluster::of_five();
    let leaver = cluster.agents.get("compute-1").unwrap();
    Command::new("kill").args(["-TERM", &leaver.process.id().to_string()]).status().unwrap();
    let begin = Instant::now();
    let others = ["login1", "compute-2", "compute-3", "compute-4"];
    for name in others {
        wait("compute-1 has left", || (!cluster.agents[name].listed().contains(&"compute-1".to_owned())).then_some(()));
    }
    println!("an agent that leaves has left everywhere after {:?}", begin.elapsed());
    assert!(wait("the end of the process", || cluster.agents.get_mut("compute-1").unwrap().process.try_wait().unwrap()).success());
    cluster.kill("compute-2");
    for name in ["login1", "compute-3", "compute-4"] {
        let agent = &cluster.agents[name];
        for (gone, ip) in [("compute-1", "127.77.0.2"), ("compute-2", "127.77.0.3")] {
            let line = wait("it has left", || agent.changes_of(gone).into_iter().nth(1));
            assert_eq!(line["event"], "member-leave");
            let expected = format!(
                "cw_MEMBER_name='{gone}'\ncw_MEMBER_ip='{ip}'\ncw_MEMBER_role='slave'\ncw_MEMBER_tags='aws_machinetype=c5.large'\n"
            );
            assert_eq!(line["content"], expected);
            wait("the temporary file goes", || (!Path::new(line["file"].as_str().unwrap()).exists()).then_some(()));
            assert!(!agent.root.join("var/lib/clusterdrop/members").join(gone).exists());
        }
    }
}

#[test]
fn an_agent_that_restarts_is_a_member_again_without_duplicates() {
    let mut cluster = Cluster::of_five();
    let generation = cluster.agents["compute-2"].state().unwrap()["generation"].as_u64().unwrap();
    cluster.kill("compute-2");
    // Another address, as a replaced machine has.
    cluster.start("compute-2", 9);
    cluster.wait_for(&["login1", "compute-1", "compute-2", "compute-3", "compute-4"]);
    cluster.wait_for_hosts(&cluster.hosts(&[("login1", 1), ("compute-1", 2), ("compute-2", 9), ("compute-3", 4), ("compute-4", 5)]));
    for name in ["login1", "compute-1", "compute-3", "compute-4"] {
        let agent = &cluster.agents[name];
        wait("left and joined", || (agent.events_of("compute-2") == ["member-join", "member-leave", "member-join"]).then_some(()));
    }
    assert!(cluster.agents["compute-2"].state().unwrap()["generation"].as_u64().unwrap() > generation);
    // A second agent on the same files is refused.
    let root = cluster.root("compute-2");
    let second = Command::new(PROGRAM)
        .args(["gossip", "--name", "compute-2", "--bind", "127.77.0.10:7946", "--root"])
        .arg(&root)
        .arg("--key-file")
        .arg(cluster.folder.path().join("key"))
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another agent keeps the members"), "{second:?}");
}

/// Sends datagrams so that none is lost before it is read: the hello between them is answered in its turn.
fn send_all(from: &UdpSocket, to: SocketAddr, hello: &[u8], datagrams: &[Vec<u8>]) {
    let mut unanswered = 0;
    let mut buffer = [0; 2_048];
    for batch in datagrams.chunks(40) {
        for datagram in batch.iter().map(Vec::as_slice).chain([hello]) {
            from.send_to(datagram, to).unwrap();
            unanswered += u32::from(datagram == hello);
        }
        wait("each hello is answered once", || {
            unanswered -= u32::from(from.recv_from(&mut buffer).is_ok_and(|(_, sender)| sender == to));
            (unanswered == 0).then_some(())
        });
    }
    assert!(from.recv_from(&mut buffer).is_err(), "nothing else is answered");
}

/// Stands between two agents and records what passes; then sends it all again, and changed.
#[test]
fn forged_and_replayed_datagrams_on_the_wire_change_nothing() {
    let mut cluster = Cluster::new();
    // The tap listens where the seed is expected, and passes on to the login node.
    cluster.start("login1", 1);
    let tap = UdpSocket::bind((std::net::Ipv4Addr::new(127, 77, 0, 20), cluster.port)).unwrap();
    tap.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (login, there) = (cluster.address(1), tap.local_addr().unwrap());
    let key = cluster.folder.path().join("key");
    let root = cluster.root("compute-1");
    std::fs::create_dir_all(root.join("etc")).unwrap();
    let mut joiner = Command::new(PROGRAM)
        .args(["gossip", "--name", "compute-1", "--bind", &cluster.address(2).to_string(), "--seed", &there.to_string(), "--root"])
        .arg(&root)
        .arg("--key-file")
        .arg(&key)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut passed: Vec<Vec<u8>> = Vec::new();
    let mut buffer = [0; 2_048];
    let begin = Instant::now();
    // The handshake and the request to join pass through the tap in both directions.
    while cluster.agents["login1"].listed() != ["login1", "compute-1"] {
        assert!(begin.elapsed() < PATIENCE, "no join through the tap; {} datagrams", passed.len());
        if let Ok((length, from)) = tap.recv_from(&mut buffer) {
            passed.push(buffer[..length].to_vec());
            let to = if from == login { cluster.address(2) } else { login };
            tap.send_to(&buffer[..length], to).unwrap();
        }
    }
    assert!(passed.len() >= 3, "{}", passed.len());
    joiner.kill().unwrap();
    joiner.wait().unwrap();
    cluster.wait_for(&["login1"]);

    let mut hostile: Vec<Vec<u8>> = Vec::new();
    for datagram in &passed {
        hostile.extend(std::iter::repeat_n(datagram.clone(), 50));
        for place in 0..datagram.len() {
            let mut changed = datagram.clone();
            changed[place] ^= 0x40;
            hostile.push(changed);
        }
        hostile.push(datagram[..datagram.len() / 2].to_vec());
    }
    hostile.extend([0, 1, 57, 58, 1_400, 1_401, 1_472, 9_000].map(|length| vec![1; length]));
    send_all(&tap, login, &passed[0], &hostile);
    // A member that joins afterwards makes the login node write its counts.
    cluster.start("compute-2", 3);
    cluster.wait_for(&["login1", "compute-2"]);
    let login1 = &cluster.agents["login1"];
    assert_eq!(login1.events_of("compute-1"), ["member-join", "member-leave"]);
    assert_eq!(login1.address, login);
    let dropped = wait("the counts are written", || login1.state().map(|state| state["dropped"].clone()));
    for reason in ["forged", "replayed", "oversized", "truncated", "version"] {
        assert!(dropped[reason].as_u64().is_some_and(|count| count > 0), "{reason}: {dropped}");
    }
    let log = std::fs::read_to_string(login1.root.join("log")).unwrap();
    assert!(log.lines().count() < 20, "a line for each datagram: {log}");
}

#[test]
fn a_list_that_was_never_written_is_told_and_a_wrong_key_keeps_apart() {
    let mut cluster = Cluster::new();
    let (done, _, told) = list(&cluster.root("none"), &[]);
    assert!(!done && told.contains("the agent has not run here"), "{told}");
    cluster.start("login1", 1);
    cluster.wait_for(&["login1"]);
    std::fs::write(cluster.folder.path().join("key"), [43; 32]).unwrap();
    cluster.start("compute-1", 2);
    let stranger = &cluster.agents["compute-1"];
    wait("the stranger lists itself", || (stranger.listed() == ["compute-1"]).then_some(()));
    // The right key next to it: once that one is in, the wrong one had its time.
    std::fs::write(cluster.folder.path().join("key"), [42; 32]).unwrap();
    cluster.start("compute-2", 3);
    wait("compute-2 is in", || (cluster.agents["login1"].listed() == ["login1", "compute-2"]).then_some(()));
    assert_eq!(cluster.agents["compute-1"].listed(), ["compute-1"]);
    // One that is named badly, or has no place to listen, says why.
    std::fs::write(cluster.folder.path().join("key"), "short").unwrap();
    let told = Command::new(PROGRAM)
        .args(["gossip", "--name", "compute-3", "--bind", "127.77.0.9:7946", "--root"])
        .arg(cluster.root("x"))
        .arg("--key-file")
        .arg(cluster.folder.path().join("key"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&told.stderr).contains("is not a cluster's key"), "{told:?}");
}
