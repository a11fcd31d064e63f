//! A function as Lambda runs it: a fresh process that takes one event after the other from a Runtime API, with the times of what happens.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cf_local::emulator::REGION;
use cf_local::{children, end_of_log};
use cf_runtime_api::{Mark, RuntimeApi};

use crate::share::Share;
use crate::subject::Subject;

/// Nothing takes longer, not even Python under 128 MB's share of a processor, or a function under Valgrind.
const STEP_MAX: Duration = Duration::from_mins(10);

/// A function that runs.
pub struct Function {
    child: Child,
    begun: Instant,
    api: RuntimeApi,
    log: std::path::PathBuf,
}

impl Function {
    /// Starts it; with `wrapper` (Valgrind and its arguments) as what it runs under.
    pub async fn start(subject: &Subject, share: Option<&Share>, wrapper: &[String]) -> Result<Self> {
        let api = RuntimeApi::start(STEP_MAX).await?;
        let log = subject.folder.join(format!("{}.log", subject.file()));
        let out = fs::File::create(&log)?;
        let mut command = subject.command(share, wrapper);
        command.envs(api.environment("bench", REGION)).stdout(out.try_clone()?).stderr(out);
        let begun = Instant::now();
        let child = children::spawn(&mut command).with_context(|| format!("{} could not be started", subject.name))?;
        if let Some(share) = share {
            share.hold(child.id());
        }
        Ok(Self { child, begun, api, log })
    }

    /// Waits until it asks for an event: from its start, that is the initialisation.
    pub async fn ready(&mut self) -> Result<Duration> {
        match self.mark().await? {
            Mark::Asked(at) => Ok(at - self.begun),
            Mark::Sent(_) | Mark::Ended(..) => bail!("the function answered what it was not asked: {}", end_of_log(&self.log)),
        }
    }

    /// Hands it an event and waits until it asks for the next: the time from the event to its answer.
    pub async fn invoke(&mut self, event: &str) -> Result<Duration> {
        self.api.send(event.to_owned()).await?;
        let (mut sent, mut took) = (None, None);
        loop {
            match (self.mark().await?, sent) {
                (Mark::Sent(at), _) => sent = Some(at),
                (Mark::Ended(at, Ok(_)), Some(sent)) => took = Some(at - sent),
                (Mark::Ended(_, Err(why)), _) => bail!("the function failed: {why}\n{}", end_of_log(&self.log)),
                (Mark::Ended(_, Ok(_)), None) => bail!("the function answered what it was not asked"),
                (Mark::Asked(_), _) => return took.context("the function asked for more without an answer"),
            }
        }
    }

    /// The most memory it has held, in MiB.
    pub fn peak_megabytes(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the kernel tells no peak")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Tells it that there is nothing more, and waits until it has ended.
    pub async fn end(mut self) -> Result<()> {
        self.api.close();
        let until = Instant::now() + STEP_MAX;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("the function does not end: {}", end_of_log(&self.log));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn mark(&mut self) -> Result<Mark> {
        self.api.mark(STEP_MAX).await.with_context(|| end_of_log(&self.log))
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        children::forget(self.child.id());
    }
}
