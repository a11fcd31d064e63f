//! Accounts by stand-ins of the system's programs: useradd notes a line in a file, which getent reads.

use super::*;
use crate::programs::tests::StandIns;

const GETENT: &str = r#"grep "^$2:" "$here/passwd" || exit 2"#;
const USERADD: &str = r#"login=${*: -1}; mkdir -p "$here/home/$login"
printf '%s:x:1000:1000::%s:/bin/bash\n' "$login" "$here/home/$login" >> "$here/passwd""#;
const RUNUSER: &str = r#"while [ "$1" != -- ]; do shift; done; shift; exec "$@""#;

const ALICE: u32 = 320_207;
const ALICE_B: u32 = 371_072;

struct Node {
    stand_ins: StandIns,
    root: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let stand_ins = StandIns::new();
        stand_ins
            .add("getent", GETENT)
            .add("useradd", USERADD)
            .add("runuser", RUNUSER)
            .add("visudo", "")
            .add("install", "mkdir -p \"${*: -1}\"");
        Self { stand_ins, root: tempfile::tempdir().unwrap() }
    }

    fn layout(&self) -> Layout {
        Layout::below(self.root.path())
    }

    async fn make(&self, login: &str) -> Result<Account, AccountError> {
        make_by("Alice.B", login, &self.layout(), &self.stand_ins.programs()).await
    }

    fn count(&self, program: &str) -> usize {
        self.stand_ins.calls().iter().filter(|call| call.starts_with(program)).count()
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn an_account_is_made_once_with_an_empty_file_of_keys_that_only_it_reads() {
    let node = Node::new();
    let account = node.make("alice").await.unwrap();
    assert_eq!(account.home, node.stand_ins.folder().join("home/alice"));
    assert_eq!(account.keys, account.home.join(".ssh/authorized_keys"));
    assert_eq!((mode(&account.home.join(".ssh")), mode(&account.keys)), (0o700, 0o600));
    let rule = node.root.path().join("etc/sudoers.d/clusterdrop-alice");
    assert_eq!(mode(&rule), 0o440);
    assert!(fs::read_to_string(&rule).unwrap().ends_with("\nalice ALL=(ALL:ALL) NOPASSWD: ALL\n"));

    // Another boot: the account stays as it is, its keys too.
    fs::write(&account.keys, "ssh-ed25519 AAAA mine\n").unwrap();
    assert_eq!(node.make("alice").await.unwrap(), account);
    assert_eq!(fs::read_to_string(&account.keys).unwrap(), "ssh-ed25519 AAAA mine\n");
    assert_eq!(node.count("useradd"), 1);
    let left: Vec<_> = fs::read_dir(node.root.path().join("etc/sudoers.d")).unwrap().collect();
    assert_eq!(left.len(), 1, "no draft stays: {left:?}");
}

#[tokio::test]
async fn an_account_of_the_image_is_never_handed_to_a_user() {
    let node = Node::new();
    fs::write(node.stand_ins.folder().join("passwd"), "admin:x:1000:1000::/home/admin:/bin/bash\n").unwrap();
    let refused = node.make("admin").await.unwrap_err();
    assert!(refused.to_string().starts_with("the account admin cannot be made: the node's image has an account"), "{refused}");
    assert_eq!(node.count("useradd") + node.count("runuser"), 0);
    assert!(!node.root.path().join("etc/sudoers.d").exists());
    // The account that this node made is no reason to take another one.
    node.make("alice").await.unwrap();
    assert!(node.make("admin").await.is_err());
}

#[tokio::test]
async fn a_crash_after_useradd_does_not_make_the_account_a_strangers() {
    let node = Node::new();
    // The account is made, and the agent ends before it knows that.
    node.stand_ins.add("useradd", &format!("{USERADD}\nexit 1"));
    assert!(node.make("alice").await.unwrap_err().reason.contains("useradd ended with exit code 1"));
    node.stand_ins.add("useradd", USERADD).add("runuser", "exit 1");
    assert!(node.make("alice").await.unwrap_err().reason.contains("runuser ended with exit code 1"));
    node.stand_ins.add("runuser", RUNUSER);
    assert!(node.make("alice").await.unwrap().keys.exists());
    assert_eq!(node.count("useradd"), 1);
}

#[tokio::test]
async fn a_home_that_an_interrupted_useradd_did_not_make_is_made_the_next_time() {
    let node = Node::new();
    // The account's line is written, and the machine stops before the home is made.
    node.stand_ins.add("useradd", &format!("{USERADD}\nrmdir \"$here/home/$login\"; exit 1"));
    assert!(node.make("alice").await.is_err());
    // Whose home is not there can make nothing in it.
    node.stand_ins.add("runuser", &format!("[ -d \"$here/home/$2\" ] || exit 1\n{RUNUSER}")).add("install", "mkdir -p \"${*: -1}\"");
    assert!(node.make("alice").await.unwrap().keys.exists());
    assert_eq!((node.count("useradd"), node.count("install -d -m 700 -o alice -g alice")), (1, 1));
    node.make("alice").await.unwrap();
    assert_eq!(node.count("install"), 1, "a home that is whole is left as it is");
    // One that somebody has removed since.
    fs::remove_dir_all(node.stand_ins.folder().join("home/alice")).unwrap();
    assert!(node.make("alice").await.unwrap().keys.exists());
}

#[tokio::test]
async fn a_name_that_could_be_read_otherwise_is_refused_before_any_program_runs() {
    let node = Node::new();
    let long = "a".repeat(33);
    for login in ["", "root\n", "-rf", "ALL", "a b", "a,b", "%wheel", "a.b", "é", "1a", "_a", long.as_str()] {
        let refused = node.make(login).await.unwrap_err();
        assert!(refused.reason.contains("it is no name of an account"), "{login:?}: {refused}");
    }
    assert_eq!(node.stand_ins.calls(), [""; 0]);
    assert!(node.make(&"a".repeat(32)).await.is_ok());
}

#[tokio::test]
async fn what_the_systems_programs_say_is_the_reason() {
    let node = Node::new();
    node.stand_ins.add("useradd", "echo 'useradd: group alice exists' >&2; exit 9");
    assert_eq!(node.make("alice").await.unwrap_err().reason, "useradd ended with exit code 9: useradd: group alice exists");
    node.stand_ins.add("useradd", USERADD).add("visudo", "echo 'syntax error' >&2; exit 1");
    assert_eq!(node.make("alice").await.unwrap_err().reason, "sudo's rules are refused: visudo ended with exit code 1: syntax error");
    assert!(!node.root.path().join("etc/sudoers.d/clusterdrop-alice").exists());
    node.stand_ins.add("getent", "exit 3");
    assert_eq!(node.make("alice").await.unwrap_err().reason, "getent ended with exit code 3");
    node.stand_ins.add("getent", "echo alice:x:0:0::/root:/bin/bash");
    assert!(node.make("alice").await.unwrap_err().reason.contains("root's"));
}

#[tokio::test]
async fn a_link_in_the_home_is_followed_with_the_users_rights_only() {
    let node = Node::new();
    let account = node.make("alice").await.unwrap();
    // What is done in the home goes through runuser: nothing of it is done by the agent itself.
    let before = node.count("runuser -u alice --");
    fs::remove_dir_all(account.home.join(".ssh")).unwrap();
    std::os::unix::fs::symlink("/root", account.home.join(".ssh")).unwrap();
    node.stand_ins.add("runuser", "exit 1");
    assert!(node.make("alice").await.is_err());
    assert_eq!(node.count("runuser -u alice --"), before + 1);
    assert!(fs::symlink_metadata(account.home.join(".ssh")).unwrap().is_symlink(), "untouched");
}

#[tokio::test]
async fn a_key_is_usable_when_the_account_itself_can_read_a_valid_one() {
    let node = Node::new();
    let account = node.make("alice").await.unwrap();
    let programs = node.stand_ins.programs();
    assert!(!has_usable_key_by(&account, &programs).await, "an empty file");
    fs::write(&account.keys, "ssh-ed25519 garbage\n").unwrap();
    assert!(!has_usable_key_by(&account, &programs).await);
    let key = node.root.path().join("key");
    programs.must("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &key.display().to_string()]).await.unwrap();
    fs::copy(key.with_extension("pub"), &account.keys).unwrap();
    assert!(has_usable_key_by(&account, &programs).await);
    // One that the account itself cannot read.
    node.stand_ins.add("runuser", "exit 1");
    assert!(!has_usable_key_by(&account, &programs).await);
}

#[test]
fn host_keys_are_read_without_their_comments_and_what_is_none_is_left_out() {
    let node = Node::new();
    assert_eq!(host_keys(&node.layout()), [""; 0]);
    let ssh = node.root.path().join("etc/ssh");
    fs::create_dir_all(&ssh).unwrap();
    fs::write(ssh.join("ssh_host_rsa_key.pub"), "ssh-rsa AAAAB3 root@ip-10-0-0-1\n").unwrap();
    fs::write(ssh.join("ssh_host_ed25519_key.pub"), "ssh-ed25519 AAAAC3\n").unwrap();
    fs::write(ssh.join("ssh_host_ed25519_key"), "private").unwrap();
    fs::write(ssh.join("ssh_host_dsa_key.pub"), "").unwrap();
    fs::write(ssh.join("ssh_host_huge_key.pub"), format!("ssh-rsa {}", "A".repeat(5_000))).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", ssh.join("ssh_host_link_key.pub")).unwrap();
    assert_eq!(host_keys(&node.layout()), ["ssh-ed25519 AAAAC3", "ssh-rsa AAAAB3"]);
    for nth in 0..10 {
        fs::write(ssh.join(format!("ssh_host_more{nth}_key.pub")), "ssh-rsa AAAAB3").unwrap();
    }
    assert_eq!(host_keys(&node.layout()).len(), HOST_KEYS_MAX);
}

#[tokio::test]
async fn the_accounts_number_follows_from_the_user_and_is_the_same_on_every_node() {
    for user in ["alice", "Alice.B", &"x".repeat(64)] {
        assert!(USER_NUMBERS.contains(&number_of_user(user)), "{user}");
    }
    // Computed with Python's hashlib: a number that changes takes the user's files from them.
    assert_eq!((number_of_user("alice"), number_of_user("Alice.B")), (ALICE, ALICE_B));
    let node = Node::new();
    node.make("alice").await.unwrap();
    let call = node.stand_ins.calls().into_iter().find(|call| call.starts_with("useradd")).unwrap();
    assert!(call.contains(&format!(" --uid {ALICE_B} ")), "{call}");
}
