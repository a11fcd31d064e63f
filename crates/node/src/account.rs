//! The user's account on the node, and whether they can log in to it.

use std::path::PathBuf;

use crate::node::Layout;

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

/// Makes the account and its empty file of keys, by the system's own programs; one that an earlier boot made is left as it is.
/// An account that the image brought is refused: it may have rights of its own.
pub async fn make(login: &str, layout: &Layout) -> Result<Account, AccountError> {
    let _ = (login, layout);
    unimplemented!("branch `world`")
}

/// Whether the account itself, not only root, can read a valid public key in its file (`ssh-keygen -l -f`).
pub async fn has_usable_key(account: &Account) -> bool {
    let _ = account;
    unimplemented!("branch `world`")
}
