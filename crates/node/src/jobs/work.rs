//! Runs one job in a folder of its own: checks it, runs it, and gathers what it left.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::claim::{Completed, NOTES_MAX, REASON_CHARS_MAX, Verdict};
use super::share::Share;
use super::{Job, shown};
use crate::node::Role;
use crate::run::{self, Bounds, Outcome, Sink, Stream, variable};
use crate::script;

/// How long the check of a job may take.
const VALIDATE_LIMIT: Duration = Duration::from_mins(5);

/// The most files that a job's output keeps, and their bytes.
pub const OUTPUT_FILES_MAX: usize = 100;
/// The most bytes of one file of a job's output.
pub const OUTPUT_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The most bytes of all files of a job's output.
pub const OUTPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The deepest folder of the output.
const DEPTH_MAX: usize = 8;

/// A job's folder on this machine.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

impl Folder {
    /// The job.
    pub fn job(&self) -> PathBuf {
        self.0.join("job")
    }

    /// Where it leaves files.
    pub fn output(&self) -> PathBuf {
        self.0.join("output")
    }

    /// What it prints.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The journal, written when it has ended.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// Makes it anew, with this job in it.
    pub fn make(&self, content: &[u8]) -> io::Result<()> {
        self.remove()?;
        fs::create_dir_all(self.output())?;
        fs::create_dir_all(self.0.join("rejected"))?;
        fs::write(self.logs(), "")?;
        fs::write(self.job(), content)
    }

    /// Removes it.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What a job is run with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The node's role.
    pub role: Role,
    /// The cluster's name.
    pub cluster: String,
    /// How long a job may run.
    pub limit: Duration,
    /// The bounds of a run.
    pub bounds: Bounds,
    /// Where scripts are noted that run.
    pub notes: PathBuf,
}

/// Checks a job and runs it. The folder has it.
pub async fn work(job: &Job, folder: &Folder, share: &Share, setting: &Setting) -> Verdict {
    if let Some(validate) = &share.validate {
        let said = Arc::new(Mutex::new(String::new()));
        let arguments = vec![text(&folder.job()), text(&folder.0.join("rejected"))];
        let outcome = run_script(validate, arguments, VALIDATE_LIMIT, &folder.0, job, setting, kept(&said)).await;
        if !outcome.is_success() {
            let said = said.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned();
            return Verdict::Rejected(if said.is_empty() { format!("validate-job {outcome}, and printed no reason") } else { said });
        }
    }
    let (role, cluster) = (setting.role.to_string(), setting.cluster.clone());
    let (script, arguments) = match &share.process {
        Some(process) => (process.clone(), vec![text(&folder.job()), text(&folder.output()), role, cluster]),
        None => (folder.job(), vec![role, cluster]),
    };
    let outcome = run_script(&script, arguments, setting.limit, &folder.output(), job, setting, logged(&folder.logs())).await;
    let (_, notes) = outputs(folder);
    Verdict::Completed(Completed { code: code(&outcome), outcome: outcome.to_string(), notes })
}

async fn run_script(
    script: &Path,
    arguments: Vec<String>,
    limit: Duration,
    folder: &Path,
    job: &Job,
    setting: &Setting,
    sink: Sink,
) -> Outcome {
    let starter = match script::prepare(script) {
        Ok(prepared) => prepared.starter,
        Err(error) => return Outcome::NotStarted(error.to_string()),
    };
    let environment = vec![
        variable("HOME", "/root"),
        variable("CUSTOMIZER_EVENT", "job-queue"),
        variable("CUSTOMIZER_PROFILE", job.queue.as_str()),
        variable("CUSTOMIZER_JOB", job.id.as_str()),
        variable("CUSTOMIZER_ROLE", setting.role.to_string()),
        variable("CUSTOMIZER_CLUSTER", &setting.cluster),
    ];
    let job = run::Job {
        script: script.to_owned(),
        starter,
        arguments,
        folder: folder.to_owned(),
        environment,
        limit,
        notes: setting.notes.clone(),
    };
    run::run(&job, &setting.bounds, sink).await.outcome
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Keeps the first characters of standard output: the reason of a rejection.
fn kept(said: &Arc<Mutex<String>>) -> Sink {
    let said = Arc::clone(said);
    Arc::new(move |stream, line| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if stream == Stream::Stdout && said.chars().count() < REASON_CHARS_MAX {
            let line = cf_core::characters::shown(line, 0, REASON_CHARS_MAX - said.chars().count());
            said.push_str(&line);
            said.push('\n');
        }
    })
}

/// Writes lines to the job's log. A full disk loses lines and nothing else.
fn logged(path: &Path) -> Sink {
    let file = Mutex::new(fs::OpenOptions::new().append(true).create(true).open(path).ok());
    Arc::new(move |_, line| {
        if let Some(file) = file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = writeln!(file, "{line}");
        }
    })
}

/// An outcome as a shell has it.
fn code(outcome: &Outcome) -> i32 {
    match outcome {
        Outcome::Exit(code) => *code,
        Outcome::Signal(signal) => 128 + signal,
        Outcome::TimedOut(_) => 124,
        Outcome::NotStarted(_) => 126,
        Outcome::NotRun(_) => 125,
    }
}

/// The files that a job left, by their paths in its output, sorted; and what of it is left out.
pub fn outputs(folder: &Folder) -> (Vec<(String, PathBuf)>, Vec<String>) {
    let mut found = Found::default();
    found.walk(&folder.output(), "", 0);
    if found.left_out > found.notes.len() {
        let bound = format!("a job keeps at most {OUTPUT_FILES_MAX} files and {OUTPUT_BYTES_MAX} bytes");
        found.notes.push(format!("{} files of the output are left out in all; {bound}", found.left_out));
    }
    found.files.sort();
    (found.files, found.notes)
}

#[derive(Default)]
struct Found {
    files: Vec<(String, PathBuf)>,
    notes: Vec<String>,
    left_out: usize,
    bytes: u64,
}

impl Found {
    fn leave_out(&mut self, path: &str, why: &str) {
        self.left_out += 1;
        if self.notes.len() < NOTES_MAX - 1 {
            self.notes.push(format!("the output {} is left out: {why}", shown(path)));
        }
    }

    fn walk(&mut self, folder: &Path, prefix: &str, depth: usize) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut entries: Vec<fs::DirEntry> = entries.flatten().take(crate::profile::listing::ENTRIES_MAX).collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let path = format!("{prefix}{}", name.to_string_lossy());
            let is_name = name.to_str().is_some_and(|name| !name.chars().any(char::is_control));
            let Ok(metadata) = entry.metadata() else { continue };
            if !is_name || path.len() > 512 {
                self.leave_out(&path, "its name has control characters, is no UTF-8, or is too long");
            } else if metadata.is_dir() {
                if depth == DEPTH_MAX {
                    self.leave_out(&path, "it lies too deep");
                } else {
                    self.walk(&entry.path(), &format!("{path}/"), depth + 1);
                }
            } else if !metadata.is_file() {
                self.leave_out(&path, "it is a link or no plain file");
            } else if metadata.len() > OUTPUT_FILE_BYTES_MAX {
                self.leave_out(&path, &format!("it has {} bytes, and a file at most {OUTPUT_FILE_BYTES_MAX}", metadata.len()));
            } else if self.files.len() == OUTPUT_FILES_MAX || self.bytes + metadata.len() > OUTPUT_BYTES_MAX {
                self.left_out += 1;
            } else {
                self.bytes += metadata.len();
                self.files.push((path, entry.path()));
            }
        }
    }
}
