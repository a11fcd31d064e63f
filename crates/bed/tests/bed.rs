//! What the bed promises: machines that know only each other, disks that last as long as they should, and nothing left behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use cf_bed::{Base, Bed, Spec};
use cf_local::wait;

const WAIT_MAX: Duration = Duration::from_secs(30);

fn bed() -> Result<Bed> {
    cf_bed::possible()?;
    Bed::new(&Base::prepare(&|what| println!("{what}"))?)
}

#[test]
fn nodes_reach_each_other_and_nothing_else_and_each_is_a_machine_of_its_own() -> Result<()> {
    let bed = bed()?;
    let (one, two) = (bed.start(&Spec::new("one", 2))?, bed.start(&Spec::new("two", 300))?);
    assert_eq!(two.address(), Ipv4Addr::new(10, 77, 1, 44));
    one.run(&["ping", "-c", "1", "-W", "5", "10.77.1.44"])?;
    let refused = one.run(&["ping", "-c", "1", "-W", "5", "192.0.2.2"]).unwrap_err().to_string();
    assert!(refused.contains("Network is unreachable"), "{refused}");
    assert_eq!((one.run(&["hostname"])?.trim(), one.read("/etc/hostname")?.trim()), ("one", "one"));
    let boot_id = "/proc/sys/kernel/random/boot_id";
    let ids = [one.read(boot_id)?, two.read(boot_id)?, fs::read_to_string(boot_id)?];
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");
    let uptime = |text: &str| text.split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok()).context("an uptime");
    let (of_node, of_host) = (uptime(&one.read("/proc/uptime")?)?, uptime(&fs::read_to_string("/proc/uptime")?)?);
    assert!(of_node < of_host && of_node < 60.0, "{of_node} and {of_host}");
    // Its own processes are all that it sees.
    let processes = one.run(&["ps", "-e", "-o", "comm="])?;
    assert_eq!(processes.split_whitespace().collect::<Vec<_>>(), ["sh", "cat", "timeout", "ps"]);
    Ok(())
}

#[test]
fn a_reboot_keeps_the_disk_and_a_new_machine_has_an_empty_one_of_its_size() -> Result<()> {
    let bed = bed()?;
    let node = bed.start(&Spec::new("node", 2).disk_mib(16).share("home", "/srv/home"))?;
    let boot_id = node.read("/proc/sys/kernel/random/boot_id")?;
    node.write("/var/lib/kept/file", 0o640, "on the disk")?;
    node.write("/run/gone", 0o644, "in memory")?;
    node.write("/srv/home/shared", 0o644, "for all")?;
    node.run(&["sh", "-c", "sleep 1000 >/dev/null 2>&1 &"])?;
    assert_eq!(node.run(&["stat", "-c", "%a", "/var/lib/kept/file"])?, "640\n");
    node.power_off()?;
    assert!(!node.is_running()?);
    assert!(node.run(&["true"]).unwrap_err().to_string().contains("node is off"));
    node.power_on()?;
    assert_eq!(node.read("/var/lib/kept/file")?, "on the disk");
    assert_ne!(node.read("/proc/sys/kernel/random/boot_id")?, boot_id);
    assert!(node.read("/run/gone").unwrap_err().to_string().contains("No such file"));
    assert!(!node.run(&["ps", "-e", "-o", "comm="])?.contains("sleep"));
    let full = node.run(&["dd", "if=/dev/zero", "of=/var/lib/big", "bs=1M", "count=17"]).unwrap_err().to_string();
    assert!(full.contains("No space left on device"), "{full}");
    drop(node);
    let next = bed.start(&Spec::new("node", 2).share("home", "/srv/home"))?;
    assert!(next.read("/var/lib/kept/file").unwrap_err().to_string().contains("No such file"));
    assert_eq!(next.read("/srv/home/shared")?, "for all");
    Ok(())
}

#[test]
fn a_bed_may_have_another_network_and_a_node_may_be_renamed_for_its_next_boots() -> Result<()> {
    cf_bed::possible()?;
    let bed = Bed::in_network(&Base::prepare(&|what| println!("{what}"))?, [10, 75])?;
    let (one, two) = (bed.start(&Spec::new("one", 4))?, bed.start(&Spec::new("two", 0x8004))?);
    assert_eq!((bed.address(), two.address()), (Ipv4Addr::new(10, 75, 0, 1), Ipv4Addr::new(10, 75, 128, 4)));
    one.run(&["ping", "-c", "1", "-W", "5", "10.75.128.4"])?;
    // As the agent renames it: now, and for the next boots.
    let below = fs::read_to_string("/proc/sys/kernel/hostname")?;
    one.run(&["sh", "-c", "echo login1 >/proc/sys/kernel/hostname; echo login1 >/etc/hostname"])?;
    assert_eq!(one.run(&["hostname"])?, "login1\n");
    one.reboot()?;
    assert_eq!((one.run(&["hostname"])?.as_str(), two.run(&["hostname"])?.as_str()), ("login1\n", "two\n"));
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname")?, below);
    Ok(())
}

#[test]
fn a_node_that_its_own_root_ends_is_off_and_can_be_started() -> Result<()> {
    let bed = bed()?;
    let node = bed.start(&Spec::new("node", 2))?;
    // An orphan that has ended leaves nothing: the first process takes it in.
    node.run(&["sh", "-c", "(true &) ; sleep 0.1"])?;
    assert!(!node.run(&["ps", "-e", "-o", "stat="])?.contains('Z'));
    assert!(node.run(&["sh", "-c", "kill -9 -1"]).is_err());
    wait::until("the end of the node", WAIT_MAX, || Ok((!node.is_running()?).then_some(())))?;
    node.power_on()?;
    assert_eq!(node.run(&["hostname"])?, "node\n");
    Ok(())
}

#[test]
fn the_root_of_a_node_changes_neither_clock_nor_kernel_nor_devices_of_this_machine() -> Result<()> {
    let node = bed()?.start(&Spec::new("node", 2))?;
    let forwarding = "/proc/sys/net/ipv4/ip_forward";
    let before = fs::read_to_string(forwarding)?;
    for (words, why) in [
        (&["date", "--set", "@1000000000"][..], "Operation not permitted"),
        (&["mknod", "/root/disk", "b", "254", "0"], "Operation not permitted"),
        (&["sh", "-c", "echo 1 >/proc/sys/vm/swappiness"], "Read-only file system"),
    ] {
        let refused = node.run(words).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    // A node may route, as a login node does.
    let other = if before.trim() == "1" { "0" } else { "1" };
    node.run(&["sh", "-c", &format!("echo {other} >{forwarding}")])?;
    assert_eq!((node.read(forwarding)?.trim(), fs::read_to_string(forwarding)?), (other, before));
    Ok(())
}

/// A server of this machine that answers each connection with the same words.
fn server(words: &'static str) -> Result<std::net::SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 1024];
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{words}", words.len());
            let _ = stream.read(&mut asked).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    Ok(address)
}

#[test]
fn a_node_reaches_what_is_forwarded_and_no_longer_than_it_is() -> Result<()> {
    let bed = bed()?;
    let metadata = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80);
    let one = bed.start(&Spec::new("one", 2).forward(metadata, server("I am one")?))?;
    let two = bed.start(&Spec::new("two", 3))?;
    let ask = |node: &cf_bed::Node, url: &str| node.run(&["curl", "--silent", "--show-error", "--max-time", "10", url]);
    let forward = bed.forward(4566, server("the emulator")?)?;
    for node in [&one, &two] {
        assert_eq!(ask(node, "http://10.77.0.1:4566/")?, "the emulator");
    }
    assert_eq!(ask(&one, "http://169.254.169.254/latest")?, "I am one");
    assert!(ask(&two, "http://169.254.169.254/latest").is_err());
    one.reboot()?;
    assert_eq!(ask(&one, "http://169.254.169.254/latest")?, "I am one");
    // The bed's hardware address did not change with its ports: else what `two` knows of it would lead nowhere for some seconds.
    let known = two.run(&["ip", "neighbour", "show", "10.77.0.1"])?;
    assert!(known.contains("lladdr 02:00:0a:4d:00:01"), "{known}");
    drop(forward);
    let refused = ask(&two, "http://10.77.0.1:4566/").unwrap_err().to_string();
    assert!(refused.contains("Could not connect") || refused.contains("Failed to connect"), "{refused}");
    Ok(())
}

#[test]
fn what_cannot_be_a_machine_is_refused_with_the_reason() -> Result<()> {
    let bed = bed()?;
    let refused = |spec: Spec| bed.start(&spec).map(drop).unwrap_err().to_string();
    assert_eq!(refused(Spec::new("a b", 2)), "\"a b\" is no host name: letters, digits and hyphens, 64 at most");
    assert!(refused(Spec::new(&"a".repeat(65), 2)).contains("is no host name"));
    assert_eq!(refused(Spec::new("a", 1)), "1 is no number of a node: 2 to 65,534");
    assert!(refused(Spec::new("a", 2).share("../x", "/home")).contains("is no folder to share"));
    assert!(refused(Spec::new("a", 2).share("x", "home")).contains("is no folder to share"));
    bed.start(&Spec::new(&"a".repeat(64), 65_534))?;
    Ok(())
}

/// Run under `unshare` by the test below.
#[test]
#[ignore = "started by another test"]
fn whether_a_bed_is_possible_here() {
    println!("\npossible: {}", cf_bed::possible().map_or_else(|error| error.to_string(), |()| "yes".to_owned()));
}

#[test]
fn where_root_or_namespaces_are_refused_one_line_says_so() -> Result<()> {
    let asked = |options: &[&str]| -> Result<String> {
        let mut command = Command::new("unshare");
        command.args(options).arg(std::env::current_exe()?);
        let said = command.args(["--ignored", "--exact", "--nocapture", "whether_a_bed_is_possible_here"]).output()?.stdout;
        let said = String::from_utf8(said)?;
        Ok(said.lines().find_map(|line| line.strip_prefix("possible: ")).context(said.clone())?.to_owned())
    };
    assert_eq!(asked(&["--mount"])?, "yes");
    assert_eq!(asked(&["--user"])?, "the test bed needs root, which makes namespaces and mounts: run it as root");
    let refused = asked(&["--user", "--map-root-user"])?;
    assert!(
        refused.starts_with("the test bed needs namespaces, overlays and bridges, and this machine refuses them: mknod: "),
        "{refused}"
    );
    Ok(())
}

/// The variable by which the test below gives the program that it kills a number of seconds that no other process sleeps.
const SECONDS: &str = "CLUSTERDROP_BED_TEST_SECONDS";

/// A program with a bed, for the test below, which kills it.
#[test]
#[ignore = "started by another test"]
fn a_program_with_a_bed() -> Result<()> {
    let seconds = std::env::var(SECONDS)?;
    let bed = bed()?;
    let node = bed.start(&Spec::new("node", 2))?;
    node.run(&["sh", "-c", "sleep \"$0\" >/dev/null 2>&1 &", &seconds])?;
    let _running = node.command("sleep")?.arg(&seconds).spawn()?;
    println!("\nready");
    thread::park();
    Ok(())
}

/// Killed where a test ends early.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Processes of this machine with this in their command lines.
fn processes(of: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.map(|line| line.replace('\0', " ")).filter(|line| line.contains(of)).collect()
}

#[test]
fn a_program_that_is_killed_leaves_no_process_no_mount_and_no_network() -> Result<()> {
    drop(bed()?);
    let world = || -> Result<String> {
        let links = Command::new("ip").args(["-brief", "link"]).output()?.stdout;
        Ok(fs::read_to_string("/proc/self/mounts")? + &String::from_utf8_lossy(&links))
    };
    let before = world()?;
    let seconds = format!("98765.{}", std::process::id());
    let arguments = ["--ignored", "--exact", "--nocapture", "a_program_with_a_bed"];
    let program = Command::new(std::env::current_exe()?).args(arguments).env(SECONDS, &seconds).stdout(Stdio::piped()).spawn()?;
    let mut program = Program(program);
    let mut said = BufReader::new(program.0.stdout.take().context("a pipe")?).lines();
    said.find(|line| line.as_ref().is_ok_and(|line| line == "ready")).context("the program has not said that it is ready")??;
    // One in the background, and one with the nsenter that waits for it.
    let sleeping = format!("sleep {seconds}");
    wait::until("the node's processes", WAIT_MAX, || Ok((processes(&sleeping).len() == 3).then_some(())))?;
    assert_eq!(world()?, before, "nothing of the bed is to be seen outside");
    drop(program);
    wait::until("the end of the nodes' processes", WAIT_MAX, || Ok(processes(&sleeping).is_empty().then_some(())))?;
    assert_eq!(world()?, before);
    assert_eq!(fs::read_dir(cf_local::root().join(".tools/bed/disks"))?.count(), 0);
    Ok(())
}
