//! Runs the system's own programs: found on PATH, unattended, in bounded time, with bounded words.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use cf_core::plain::plain;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::timeout;

/// None of the programs that are run here takes seconds, but for those that get a limit of their own.
const TIME_MAX: Duration = Duration::from_mins(1);

/// So much of what a program prints is read; what is more is thrown away.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// The most that Slurm's programs print as JSON, for [`Programs::must_print`]. A node is 1.6 KB, a job 6 KB.
pub const SLURM_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Characters of a program's words in a message.
const WORDS_MAX: usize = 300;

/// Last lines of what it complained about.
const LINES_MAX: usize = 3;

/// How a program is run.
struct How {
    /// It is killed where nobody waits for it any more.
    kill_on_drop: bool,
    /// It is killed after so long.
    limit: Duration,
    /// So many bytes of what it prints are read.
    output_max: u64,
}

impl Default for How {
    fn default() -> Self {
        Self { kill_on_drop: true, limit: TIME_MAX, output_max: OUTPUT_BYTES_MAX }
    }
}

/// Where programs are found.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// The search path; the agent's own if there is none.
    pub path: Option<OsString>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub output: String,
    /// What it complained about, on one line.
    pub words: String,
    /// The last lines of that.
    pub last_lines: Vec<String>,
}

impl Ended {
    /// Whether it did what it was to do.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, for a message.
    pub fn outcome(&self) -> String {
        let how = self.code.map_or_else(|| "was ended by a signal".to_owned(), |code| format!("ended with exit code {code}"));
        if self.words.is_empty() { how } else { format!("{how}: {}", self.words) }
    }
}

/// Why there is no result of a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// It is not installed.
    #[error("there is no program {0} on this node")]
    Absent(String),
    /// It could not be started, or not waited for.
    #[error("{program} cannot be run: {reason}")]
    Unstartable {
        /// The program.
        program: String,
        /// Why.
        reason: String,
    },
    /// It did not end.
    #[error("{program} did not end within {seconds} s")]
    TooLong {
        /// The program.
        program: String,
        /// How long it had.
        seconds: u64,
    },
}

impl Programs {
    /// Runs a program, with an empty standard input, in the system's own language. It is killed where nobody waits for it any more.
    pub async fn run<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A]) -> Result<Ended, ProgramError> {
        self.run_as(program, arguments, How::default()).await
    }

    /// The same for one that takes long, such as apt-get, and is not to be ended halfway: it runs on where nobody waits for it any more,
    /// to this limit where somebody does.
    pub async fn run_long<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A], limit: Duration) -> Result<Ended, ProgramError> {
        self.run_as(program, arguments, How { kill_on_drop: false, limit, ..How::default() }).await
    }

    async fn run_as<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A], how: How) -> Result<Ended, ProgramError> {
        let unstartable = |error: std::io::Error| ProgramError::Unstartable { program: program.to_owned(), reason: error.to_string() };
        let mut command = Command::new(program);
        command.args(arguments).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive").current_dir("/").kill_on_drop(how.kill_on_drop);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        let mut child = match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(ProgramError::Absent(program.to_owned())),
            spawned => spawned.map_err(unstartable)?,
        };
        let (output, words) = (child.stdout.take(), child.stderr.take());
        let ended =
            timeout(how.limit, async { tokio::join!(read(output, how.output_max), read(words, OUTPUT_BYTES_MAX), child.wait()) }).await;
        let Ok((output, words, status)) = ended else {
            // One that nobody waits for any more would go on.
            let _ = child.start_kill();
            return Err(ProgramError::TooLong { program: program.to_owned(), seconds: how.limit.as_secs() });
        };
        let mut last_lines: Vec<String> =
            words.lines().rev().map(|line| plain(line, WORDS_MAX)).filter(|line| !line.is_empty()).take(LINES_MAX).collect();
        last_lines.reverse();
        Ok(Ended { code: status.map_err(unstartable)?.code(), output, words: plain(&words, WORDS_MAX), last_lines })
    }

    /// Runs a program that must succeed; gives its output, or the reason in words.
    pub async fn must<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A]) -> Result<String, String> {
        succeeded(program, self.run(program, arguments).await)
    }

    /// The same for one that is not to be ended halfway: it runs on where nobody waits for it any more.
    pub async fn must_whole<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A]) -> Result<String, String> {
        succeeded(program, self.run_as(program, arguments, How { kill_on_drop: false, ..How::default() }).await)
    }

    /// The same for one that must succeed and may print much; more than `output_max` bytes are an error.
    pub async fn must_print<A: AsRef<OsStr>>(&self, program: &str, arguments: &[A], output_max: u64) -> Result<String, String> {
        let how = How { output_max: output_max.saturating_add(1), ..How::default() };
        let output = succeeded(program, self.run_as(program, arguments, how).await)?;
        if output.len() as u64 > output_max {
            return Err(format!("{program} printed more than {output_max} bytes"));
        }
        Ok(output)
    }
}

fn succeeded(program: &str, ended: Result<Ended, ProgramError>) -> Result<String, String> {
    let ended = ended.map_err(|error| error.to_string())?;
    if ended.is_success() { Ok(ended.output) } else { Err(format!("{program} {}", ended.outcome())) }
}

/// What a program prints. It is read to its end, so that the program is not held up.
async fn read(from: Option<impl AsyncRead + Unpin>, bytes_max: u64) -> String {
    let Some(mut from) = from else { return String::new() };
    let mut bytes = Vec::new();
    let read = (&mut from).take(bytes_max).read_to_end(&mut bytes).await;
    if read.is_ok() {
        let _ = tokio::io::copy(&mut from, &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Stand-ins for programs, for the tests.
#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::*;

    /// A folder of programs, searched before the machine's own. They note their calls in `calls`.
    pub(crate) struct StandIns(tempfile::TempDir);

    impl StandIns {
        pub(crate) fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// Adds a program: the body of a shell script, with `$here` as the folder.
        pub(crate) fn add(&self, program: &str, body: &str) -> &Self {
            let here = self.0.path().display();
            let script = format!("#!/bin/bash\nhere={here}\nprintf '%s\\n' \"{program} $*\" >> \"$here/calls\"\n{body}\n");
            let path = self.0.path().join(program);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            self
        }

        pub(crate) fn programs(&self) -> Programs {
            let machine = std::env::var("PATH").unwrap_or_default();
            Programs { path: Some(format!("{}:{machine}", self.0.path().display()).into()) }
        }

        pub(crate) fn folder(&self) -> &Path {
            self.0.path()
        }

        pub(crate) fn calls(&self) -> Vec<String> {
            let calls = fs::read_to_string(self.0.path().join("calls")).unwrap_or_default();
            calls.lines().map(str::to_owned).collect()
        }
    }

    #[tokio::test]
    async fn a_program_that_is_absent_fails_or_floods_is_reported_as_that() {
        let stand_ins = StandIns::new();
        stand_ins.add("ok", "cat; echo done").add("fails", "echo 'no   such\tuser' >&2; exit 6");
        stand_ins.add("floods", "head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2; exit 3");
        let programs = stand_ins.programs();
        assert_eq!(programs.must("ok", &["a b"]).await, Ok("done\n".into()));
        assert_eq!(programs.must::<&str>("fails", &[]).await.unwrap_err(), "fails ended with exit code 6: no such user");
        let flooded = programs.run::<&str>("floods", &[]).await.unwrap();
        assert_eq!((flooded.code, flooded.output.len()), (Some(3), 64 * 1024));
        assert_eq!(programs.must::<&str>("no-such", &[]).await.unwrap_err(), "there is no program no-such on this node");
        assert_eq!(stand_ins.calls(), ["ok a b", "fails ", "floods "]);
        stand_ins.add("prints", "head -c 300000 /dev/zero | tr '\\0' x");
        assert_eq!(programs.must_print::<&str>("prints", &[], 300_000).await.map(|output| output.len()), Ok(300_000));
        let more = programs.must_print::<&str>("prints", &[], 299_999).await.unwrap_err();
        assert_eq!(more, "prints printed more than 299999 bytes");
    }
}
