//! What a part of the tests says: kept together in a file while others run beside it, or on the screen where it runs alone.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cf_local::{SKIPPED, children, root};

/// Where a part's words go.
#[derive(Debug)]
pub struct Transcript(Option<(PathBuf, File)>);

impl Transcript {
    /// To the screen.
    pub const fn on_screen() -> Self {
        Self(None)
    }

    /// Into a file under `target`, named for the part.
    pub fn kept(part: &str) -> Result<Self> {
        let folder = root().join("target").join("test");
        fs::create_dir_all(&folder)?;
        let name: String = part.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = folder.join(format!("{name}.txt"));
        fs::write(&path, "")?;
        // Appending: commands write to the same file.
        let file = OpenOptions::new().append(true).open(&path).with_context(|| path.display().to_string())?;
        Ok(Self(Some((path, file))))
    }

    /// Says a line.
    pub fn say(&self, line: &str) {
        match &self.0 {
            Some((_, file)) => {
                let mut file = file;
                // What cannot be written here is no reason to fail a part.
                let _ = writeln!(file, "{line}");
            }
            None => println!("{line}"),
        }
    }

    /// Runs a command, and has its output here.
    pub fn show(&self, command: &mut Command, what: &str) -> Result<()> {
        self.say(&format!("  $ {what}"));
        let status = children::status(self.takes(command)?.current_dir(root())).with_context(|| format!("{what} could not be started"))?;
        if status.success() { Ok(()) } else { bail!("{what} ended with {status}") }
    }

    /// Has a command's output here.
    pub fn takes<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command> {
        match &self.0 {
            Some((_, file)) => Ok(command.stdout(Stdio::from(file.try_clone()?)).stderr(Stdio::from(file.try_clone()?))),
            None => Ok(command),
        }
    }

    /// All that was said; nothing where the screen has it.
    pub fn text(&self) -> String {
        // Bytes that are no text are shown as such.
        self.0.as_ref().map_or_else(String::new, |(path, _)| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned())
    }

    /// What could not be asked on this machine.
    pub fn skipped(&self) -> Vec<String> {
        self.text().lines().filter(|line| line.starts_with(SKIPPED)).map(str::to_owned).collect()
    }
}
