//! What can be counted, and so cannot differ from one day to the next: no times. Everything that is wrong is told at once.
//!
//! On every change: the libraries, and the AWS calls of cf-create as `sam build` makes it for this machine. In the deep form
//! cf-create is built as it ships, which takes minutes, for its size and its instructions. One function stands for all: the
//! three are one program but for their rights, which are a value.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use cf_local::SKIPPED;

use crate::binaries::{self, built, built_by_sam};
use crate::figures::short;
use crate::instructions;
use crate::libraries;
use crate::stub::{Stub, calls};
use crate::subject::{CREATE, Subject};
use crate::valgrind::Valgrind;
use crate::{folder, start};

/// The largest zip that a function may be, in MB: Lambda has to fetch it at each cold start.
const ZIP_MEGABYTES_MAX: f64 = 4.0;

/// Long enough that calls of one round are seen to go together also on a busy machine, and each on a connection of its own.
pub const LATENCY_MILLISECONDS: u64 = 100;

/// Instructions in millions, as counted on x86_64 when this was written. The start opens four connections, one to each host; the
/// first event opens one more, for two of its calls go to the users' bucket at once, and is otherwise little more than a warm one,
/// unless something gathers entropy or reads certificates at the first call.
const INSTRUCTIONS: [(&str, f64); 3] = [("init", 14.7), ("the first event", 6.46), ("a warm event", 4.98)];

/// How far they may be off. Two runs differ by less than a hundredth; another Valgrind, C library or kind of processor takes
/// other ways through TLS. More is a change to be looked at, also for the better: then the numbers above are written anew.
const MARGIN: f64 = 0.1;

/// On a machine that is busy beyond measure a connection is given up and made again. So the least of some counts is taken.
const COUNTS_MAX: usize = 3;

/// The libraries, and what cf-create calls.
pub async fn check() -> Result<()> {
    // What else there would be to count follows from them.
    told(&libraries::wrong()?)?;
    let (stub, create) = create(built_by_sam("CfCreate")).await?;
    let mut wrong = called(&stub, &create).await?;
    wrong.extend(start::wrong(&create).await?);
    told(&wrong)
}

/// The size of cf-create as it ships, its calls, and its instructions.
pub async fn check_deep() -> Result<()> {
    tokio::task::spawn_blocking(|| binaries::build(CREATE)).await??;
    let mut wrong = size()?;
    let (stub, create) = create(built(CREATE)).await?;
    wrong.extend(called(&stub, &create).await?);
    wrong.extend(start::wrong(&create).await?);
    match tokio::task::spawn_blocking(Valgrind::find).await? {
        _ if !cfg!(target_arch = "x86_64") => println!("{SKIPPED}instructions. What they should be is known for x86_64 only."),
        // What was found until here is told in any case.
        Ok(valgrind) => wrong.extend(executed(&valgrind, &create).await.unwrap_or_else(|error| vec![format!("{error:#}")])),
        Err(error) => {
            println!("{SKIPPED}instructions: {error:#}. What to do: install Valgrind, or let apt-get reach its archive, and try again.");
        }
    }
    told(&wrong)
}

/// A stub of AWS, and this cf-create beside it.
async fn create(program: PathBuf) -> Result<(Stub, Subject)> {
    fs::create_dir_all(folder())?;
    let stub = Stub::start(&folder()).await?;
    let create = Subject { program: vec![program], ..Subject::create(&stub, &folder())? };
    stub.set_latency(LATENCY_MILLISECONDS);
    Ok((stub, create))
}

fn told(wrong: &[String]) -> Result<()> {
    if wrong.is_empty() { Ok(()) } else { bail!("{} of the counts are not what they should be:\n  {}", wrong.len(), wrong.join("\n  ")) }
}

fn size() -> Result<Vec<String>> {
    let (program, zip) = binaries::sizes(CREATE)?;
    println!("  {CREATE}: {program:.2} MB, zipped {zip:.2} MB");
    let is_large = zip > ZIP_MEGABYTES_MAX;
    let why = format!("the zip of {CREATE} has {zip:.2} MB, and {ZIP_MEGABYTES_MAX} at most are wanted: which library has come in?");
    Ok(is_large.then_some(why).into_iter().collect())
}

/// The calls of one warm event, against the committed list, in which each has its reason.
async fn called(stub: &Stub, subject: &Subject) -> Result<Vec<String>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("calls").join(format!("{}.txt", subject.name));
    let listed = fs::read_to_string(&path).with_context(|| format!("{} is part of the project", path.display()))?;
    let listed: Vec<Vec<&str>> =
        listed.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(|l| l.split(" | ").collect()).collect();
    let without: Vec<String> =
        listed.iter().filter(|l| l.len() != 3 || l[2].is_empty()).map(|l| format!("{} has no reason: {l:?}", path.display())).collect();
    let mut function = crate::lambda::Function::start(subject, None, &[]).await?;
    function.ready().await?;
    let opened = stub.take_calls().len();
    function.invoke(subject.event).await?;
    let asked = stub.take_calls();
    let rounds = calls::rounds(&asked);
    let seen = rounds.iter().enumerate().flat_map(|(nth, round)| round.iter().map(move |call| format!("{} | {}", nth + 1, call.name)));
    let seen: Vec<String> = seen.collect();
    let wanted: Vec<String> = listed.iter().map(|l| l[..l.len().min(2)].join(" | ")).collect();
    println!("  {}: {} calls to AWS in {} rounds; {opened} connections opened at the start", subject.name, seen.len(), rounds.len());
    if seen == wanted {
        return Ok(without);
    }
    let more = seen.iter().filter(|call| !wanted.contains(call)).map(|call| format!("\n    + {call}"));
    let less = wanted.iter().filter(|call| !seen.contains(call)).map(|call| format!("\n    - {call}"));
    let other: String = more.chain(less).collect();
    let other = if other.is_empty() { format!("\n    {}", seen.join("\n    ")) } else { other };
    Ok([without, vec![format!("{} calls AWS otherwise than {} says:{other}", subject.name, path.display())]].concat())
}

async fn executed(valgrind: &Valgrind, create: &Subject) -> Result<Vec<String>> {
    let mut least = [f64::INFINITY; 3];
    for _ in 0..COUNTS_MAX {
        let counted = instructions::count(valgrind, create).await?;
        for (least, is) in least.iter_mut().zip([counted.init, counted.first, counted.warm]) {
            *least = least.min(is);
        }
        println!("  {CREATE}: {} million instructions (init, first, warm)", least.map(short).join(", "));
        if off(least).is_empty() {
            break;
        }
    }
    Ok(off(least))
}

fn off(counted: [f64; 3]) -> Vec<String> {
    let off = INSTRUCTIONS.iter().zip(counted).filter(|((_, wanted), is)| (is / wanted - 1.0).abs() > MARGIN);
    let say = |((phase, wanted), is): (&(&str, f64), f64)| {
        format!("{CREATE}: {phase} takes {} million instructions; it was {}, give or take {} %", short(is), short(*wanted), MARGIN * 1e2)
    };
    off.map(say).collect()
}
