//! The user's account on the node, whether they can log in to it, and the keys by which they know the node.
//!
//! The home is the user's: whatever is done in it after the account's first moment is done with the user's own rights, so that a link
//! which they put there leads nowhere that they could not go themselves.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use cf_core::names::{USER_NUMBERS, number_of_user};
use cf_core::node_report::{HOST_KEY_CHARS_MAX, HOST_KEYS_MAX};

use crate::node::Layout;
use crate::plain_file;
use crate::programs::{ProgramError, Programs};

/// The account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub login: String,
    /// Its home folder.
    pub home: PathBuf,
    /// The file with the keys that it may log in with: `~/.ssh/authorized_keys`.
    pub keys: PathBuf,
}

/// Why there is no account.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the account {login} cannot be made: {reason}")]
pub struct AccountError {
    /// Its name.
    pub login: String,
    /// Why.
    pub reason: String,
}

/// The most characters of an account's name (useradd).
const LOGIN_CHARS_MAX: usize = 32;

/// Makes what the scripts expect in a home, as its owner: `.ssh`, and in it an empty file of keys. What is there is left.
const PREPARE_HOME: &str = r#"umask 077 && mkdir -p "$1/.ssh" && { [ -e "$1/.ssh/authorized_keys" ] || : > "$1/.ssh/authorized_keys"; }"#;

/// Makes the account and its empty file of keys, by the system's own programs; one that an earlier boot made is left as it is.
/// An account that the image brought is refused: it may have rights of its own. The account has sudo: every right of a node is the
/// user's (ARCHITECTURE.md).
///
/// `user`: whose folder in `home/` it is; the account's number follows from it ([`number_of_user`]).
pub async fn make(user: &str, login: &str, layout: &Layout) -> Result<Account, AccountError> {
    make_by(user, login, layout, &Programs::default()).await
}

async fn make_by(user: &str, login: &str, layout: &Layout, programs: &Programs) -> Result<Account, AccountError> {
    let made = async {
        check(login)?;
        let home = home_of(user, login, layout, programs).await?;
        let shown = home.display().to_string();
        programs.must("runuser", &["-u", login, "--", "/bin/sh", "-c", PREPARE_HOME, "sh", &shown]).await?;
        allow_sudo(login, layout, programs).await?;
        Ok(Account { login: login.to_owned(), keys: home.join(".ssh/authorized_keys"), home })
    };
    made.await.map_err(|reason| AccountError { login: login.to_owned(), reason })
}

/// The name goes into command lines and into sudo's rules. It is the pattern of the template's AccessUsername.
fn check(login: &str) -> Result<(), String> {
    let is_login = login.starts_with(|c: char| c.is_ascii_lowercase())
        && login.len() <= LOGIN_CHARS_MAX
        && login.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'));
    if is_login {
        return Ok(());
    }
    Err(format!("it is no name of an account: a small letter, then at most {} of a-z, 0-9, - and _", LOGIN_CHARS_MAX - 1))
}

/// The home of the account, which is made where it is not there.
async fn home_of(user: &str, login: &str, layout: &Layout, programs: &Programs) -> Result<PathBuf, String> {
    let ours = layout.state().join("account");
    let noted = fs::read_to_string(&ours).unwrap_or_default();
    let is_whole = noted == whole(login);
    let home = match look_up(login, programs).await? {
        Some(home) if is_whole && home.exists() => return Ok(home),
        Some(home) if is_whole || noted == login => {
            make_home(login, &home, programs).await?;
            home
        }
        Some(_) => {
            return Err("the node's image has an account of this name, which may have rights of its own; another login is needed".into());
        }
        None => {
            // Noted before it is made: after a crash in between, the account there is known to be ours, for there was none before.
            note(&ours, login)?;
            let (number, most) = (number_of_user(user).to_string(), USER_NUMBERS.end - 1);
            let [uid_max, gid_max] = ["UID_MAX", "GID_MAX"].map(|name| format!("{name}={most}"));
            // With a group of its own name and number: one that the image brought has rights of its own, and useradd refuses.
            let account = ["--create-home", "--user-group", "--shell", "/bin/bash", "--uid", &number];
            programs.must_whole("useradd", &[&account[..], &["--key", &uid_max, "--key", &gid_max, login]].concat()).await?;
            look_up(login, programs).await?.ok_or("useradd succeeded, and getent does not know the account")?
        }
    };
    note(&ours, &whole(login))?;
    Ok(home)
}

/// What is noted of an account that was made to its end.
fn whole(login: &str) -> String {
    format!("{login} made")
}

/// Makes the home of an account that is ours, where useradd was interrupted or somebody has removed it: it belongs to the account, and
/// has what new homes have. Only the folder itself, which lies in a folder of root's, is made with root's rights.
async fn make_home(login: &str, home: &Path, programs: &Programs) -> Result<(), String> {
    const COPY: &str = r#"[ ! -d /etc/skel ] || cp -rn /etc/skel/. "$1" || :"#;
    let shown = home.display().to_string();
    programs.must("install", &["-d", "-m", "700", "-o", login, "-g", login, &shown]).await?;
    programs.must("runuser", &["-u", login, "--", "/bin/sh", "-c", COPY, "sh", &shown]).await?;
    Ok(())
}

fn note(file: &Path, text: &str) -> Result<(), String> {
    let written = || {
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Whole at any time: an account whose note is lost is one of the image.
        let mut draft = tempfile::NamedTempFile::new_in(folder)?;
        draft.write_all(text.as_bytes())?;
        draft.as_file().sync_all()?;
        draft.persist(file)?;
        fs::File::open(folder)?.sync_all()
    };
    written().map_err(|error: io::Error| format!("{}: {error}", file.display()))
}

/// The home of an account; `None` where there is no such account.
async fn look_up(login: &str, programs: &Programs) -> Result<Option<PathBuf>, String> {
    let ended = programs.run("getent", &["passwd", login]).await.map_err(|error| error.to_string())?;
    match ended.code {
        Some(0) => {}
        // No such key (getent(1)); the plainest stand-in, a grep, has 1.
        Some(1 | 2) => return Ok(None),
        _ => return Err(format!("getent {}", ended.outcome())),
    }
    let fields: Vec<&str> = ended.output.lines().next().unwrap_or_default().split(':').collect();
    let [name, _, uid, _, _, home, _] = fields.as_slice() else { return Err("getent gives no line of an account".into()) };
    if *name != login || uid.parse::<u32>().is_ok_and(|uid| uid == 0) || !home.starts_with('/') {
        return Err("getent gives the account of another, root's, or one without a home".into());
    }
    Ok(Some(PathBuf::from(home)))
}

/// Lets the account become root without a password: it has none.
async fn allow_sudo(login: &str, layout: &Layout, programs: &Programs) -> Result<(), String> {
    let folder = layout.root().join("etc/sudoers.d");
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    fs::DirBuilder::new().recursive(true).mode(0o750).create(&folder).map_err(failed)?;
    // sudo passes over names with a dot, so a draft is no rule.
    let mut draft = tempfile::Builder::new().prefix(".clusterdrop-").tempfile_in(&folder).map_err(failed)?;
    writeln!(draft, "# The user of this cluster has all rights on its nodes.\n{login} ALL=(ALL:ALL) NOPASSWD: ALL").map_err(failed)?;
    draft.as_file().set_permissions(fs::Permissions::from_mode(0o440)).map_err(failed)?;
    let path = draft.path().display().to_string();
    match programs.run("visudo", &["-c", "-q", "-f", &path]).await {
        Ok(ended) if !ended.is_success() => return Err(format!("sudo's rules are refused: visudo {}", ended.outcome())),
        // An image without sudo: the rule lies there for when it comes.
        Ok(_) | Err(ProgramError::Absent(_)) => {}
        Err(error) => return Err(error.to_string()),
    }
    draft.persist(folder.join(format!("clusterdrop-{login}"))).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Whether the account itself, not only root, can read a valid public key in its file (`ssh-keygen -l -f`).
pub async fn has_usable_key(account: &Account) -> bool {
    has_usable_key_by(account, &Programs::default()).await
}

async fn has_usable_key_by(account: &Account, programs: &Programs) -> bool {
    let keys = account.keys.display().to_string();
    let checked = programs.must("runuser", &["-u", &account.login, "--", "ssh-keygen", "-l", "-f", &keys]).await;
    checked.inspect_err(|reason| tracing::warn!("{keys} has no key that the user can log in with: {reason}")).is_ok()
}

/// The node's public SSH host keys, each as `<type> <base64>`, at most [`HOST_KEYS_MAX`]. What is none is left out: sshd may not have
/// made them yet.
pub fn host_keys(layout: &Layout) -> Vec<String> {
    let Ok(entries) = fs::read_dir(layout.root().join("etc/ssh")) else { return Vec::new() };
    let is_key = |name: &str| name.starts_with("ssh_host_") && name.ends_with("_key.pub");
    let mut files: Vec<PathBuf> =
        entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_key)).map(|entry| entry.path()).collect();
    files.sort();
    files.iter().filter_map(|file| host_key(file)).take(HOST_KEYS_MAX).collect()
}

/// The type and the key of a file, without its comment, which names the machine that made it.
fn host_key(file: &Path) -> Option<String> {
    let most = u64::try_from(HOST_KEY_CHARS_MAX).unwrap_or(u64::MAX);
    let mut text = String::new();
    // A comment may follow.
    plain_file::open(file).ok()??.take(2 * most).read_to_string(&mut text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let key = format!("{} {}", words.next()?, words.next()?);
    (key.len() <= HOST_KEY_CHARS_MAX).then_some(key)
}

#[cfg(test)]
#[path = "account_tests.rs"]
mod tests;
