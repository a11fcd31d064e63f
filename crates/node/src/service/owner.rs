//! The account that a service runs as.

use anyhow::{Context as _, Result, bail};

use crate::programs::Programs;

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub login: String,
    /// Its home.
    pub home: String,
    /// Its shell.
    pub shell: String,
}

impl Owner {
    /// The account that runs this program.
    pub async fn caller(programs: &Programs) -> Result<Self> {
        let uid = rustix::process::geteuid().as_raw();
        Self::look_up(&uid.to_string(), programs).await?.with_context(|| format!("this system has no account of number {uid}"))
    }

    /// The account of a new service: the caller's own, or, where root asks, the one that it names. The second value is whether it is
    /// another than the caller's.
    pub async fn of_service(named: Option<&str>, programs: &Programs) -> Result<(Self, bool)> {
        let caller = Self::caller(programs).await?;
        match named {
            None if is_root() => bail!("root must name the account that the service runs as: --user NAME"),
            None => Ok((caller, false)),
            Some(name) if name == caller.login => Ok((caller, false)),
            Some(name) if !is_root() => {
                bail!("a service of {name:?} can be added by {name} or by root only; you are {}. Try sudo", caller.login)
            }
            Some(name) => match Self::look_up(name, programs).await? {
                Some(owner) if owner.login == name => Ok((owner, true)),
                _ => bail!("there is no account {name:?} on this node"),
            },
        }
    }

    async fn look_up(key: &str, programs: &Programs) -> Result<Option<Self>> {
        // `--`: a name may begin with a hyphen.
        let ended = programs.run("getent", &["passwd", "--", key]).await?;
        match ended.code {
            Some(0) => {}
            Some(2) => return Ok(None),
            _ => bail!("getent {}", ended.outcome()),
        }
        let fields: Vec<&str> = ended.output.lines().next().unwrap_or_default().split(':').collect();
        let [login, _, _, _, _, home, shell] = fields.as_slice() else { bail!("getent gives no line of an account for {key:?}") };
        Ok(Some(Self { login: (*login).to_owned(), home: (*home).to_owned(), shell: (*shell).to_owned() }))
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
