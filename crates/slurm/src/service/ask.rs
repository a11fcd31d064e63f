//! What somebody wants run, checked before anything is done, and the job that follows from it.

use super::words::quoted;
use super::{Note, PROGRAM, ServiceName, ServiceNameError, Target, TargetError};

/// What stands for the path of the file that the program writes its process id to.
const PID_FILE: &str = "PIDFILE";

/// What stands for the node's host name.
const HOST: &str = "FQDN";

/// Bytes of the whole command. The script is one argument of sbatch (`--wrap`), and Linux takes 128 KiB in one (`MAX_ARG_STRLEN`);
/// quoting may make an argument longer.
const COMMAND_BYTES_MAX: usize = 32 * 1024;

/// Where the job finds Slurm's commands, and its program what it calls: the environment of whoever adds a service stays behind.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A wish as it was written.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The service's name.
    pub name: &'a str,
    /// `any` or a node.
    pub target: &'a str,
    /// The folder to run in.
    pub cwd: &'a str,
    /// The file on the nodes that takes what the program prints.
    pub log: &'a str,
    /// Program and arguments.
    pub command: &'a [String],
    /// Processors.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u32,
}

/// A service that is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Its name.
    pub name: ServiceName,
    /// Where it may run.
    pub target: Target,
    cwd: String,
    log: String,
    command: Vec<String>,
    cpus: u32,
    memory_mib: u32,
}

/// Why it cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its name.
    #[error(transparent)]
    Name(#[from] ServiceNameError),
    /// Its place.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no command.
    #[error("no command is given: write the program and its arguments after --")]
    NoCommand,
    /// The program is looked for on a node, in no folder of the caller's.
    #[error("the program {0:?} is no absolute path: write it with all its folders, such as /usr/bin/redis-server")]
    Relative(String),
    /// The folder is looked for on a node.
    #[error("the folder {0:?} is no absolute path: --cwd needs one that the node has, such as /home/alice")]
    Folder(String),
    /// Too long.
    #[error("the command has {0} bytes, and at most {COMMAND_BYTES_MAX} can be handed on: put its arguments into a file or a script")]
    Long(usize),
    /// No processor or no memory.
    #[error("a service needs at least one processor and 1 MiB of memory")]
    Nothing,
}

impl Ask {
    /// Checks a wish. All that is wrong with it is in the error.
    pub fn check(wish: &Wish<'_>) -> Result<Self, Vec<Refusal>> {
        let (name, target) = (wish.name.parse::<ServiceName>(), wish.target.parse::<Target>());
        let bytes = wish.command.iter().map(String::len).sum();
        let program = wish.command.first().filter(|program| !program.is_empty());
        let rules = [
            name.clone().err().map(Refusal::from),
            target.clone().err().map(Refusal::from),
            program.is_none().then_some(Refusal::NoCommand),
            program.filter(|program| !program.starts_with('/')).map(|program| Refusal::Relative(program.clone())),
            (!wish.cwd.starts_with('/')).then(|| Refusal::Folder(wish.cwd.to_owned())),
            (bytes > COMMAND_BYTES_MAX).then_some(Refusal::Long(bytes)),
            (wish.cpus == 0 || wish.memory_mib == 0).then_some(Refusal::Nothing),
        ];
        let broken: Vec<Refusal> = rules.into_iter().flatten().collect();
        match (name, target) {
            (Ok(name), Ok(target)) if broken.is_empty() => Ok(Self {
                name,
                target,
                cwd: wish.cwd.to_owned(),
                log: wish.log.to_owned(),
                command: wish.command.to_vec(),
                cpus: wish.cpus,
                memory_mib: wish.memory_mib,
            }),
            _ => Err(broken),
        }
    }

    /// The arguments of `sbatch`.
    pub fn sbatch(&self) -> Vec<String> {
        let mut words = vec![
            "--parsable".to_owned(),
            format!("--job-name={}", self.name.job()),
            format!("--comment={}", Note::new(self.target, &self.command)),
            "--requeue".to_owned(),
            // Until it is removed, also in a partition whose jobs have a limit where they name none.
            "--time=UNLIMITED".to_owned(),
            "--nodes=1".to_owned(),
            "--ntasks=1".to_owned(),
            format!("--cpus-per-task={}", self.cpus),
            // Without it a job takes all the memory of its node.
            format!("--mem={}M", self.memory_mib),
            // Nothing of the caller's environment: the program starts the same each time, whoever added it.
            "--export=NIL".to_owned(),
            "--chdir=/".to_owned(),
            format!("--output={}", escaped(&self.log)),
            // Each run adds to it.
            "--open-mode=append".to_owned(),
        ];
        if let Target::Node(node) = self.target {
            words.push(format!("--nodelist={node}"));
        }
        words.push(format!("--wrap={}", self.script()));
        words
    }

    /// What the job runs: the agent, which starts the program and watches it. Slurm queues a job again by itself only where its node is
    /// lost; where the program dies, the agent does it, and where the agent itself is killed, this shell.
    pub fn script(&self) -> String {
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let (name, target, cwd) = (&self.name, self.target, quoted(&self.cwd));
        format!(
            "\
export PATH={PATH}
stopped=
trap stopped=1 TERM INT
{PROGRAM} service run {name} {target} --cwd {cwd} -- {}
[ $? -eq 0 ] || [ -n \"$stopped\" ] || scontrol requeue Incomplete \"$SLURM_JOB_ID\"
",
            words.join(" ")
        )
    }
}

/// A path as Slurm's patterns of file names write it.
fn escaped(path: &str) -> String {
    path.replace('\\', "\\\\").replace('%', "%%")
}

/// Whether the program is told where to write its process id.
pub fn uses_pid_file(command: &[String]) -> bool {
    command.iter().skip(1).any(|word| word.contains(PID_FILE))
}

/// The command on the node where it starts: in each argument, `PIDFILE` becomes the path of the file for the process id, and `FQDN` the
/// node's host name.
pub fn at_start(command: &[String], pid_file: &str, host: &str) -> Vec<String> {
    let argument = |word: &String| word.split(PID_FILE).map(|part| part.replace(HOST, host)).collect::<Vec<_>>().join(pid_file);
    command.iter().take(1).cloned().chain(command.iter().skip(1).map(argument)).collect()
}
