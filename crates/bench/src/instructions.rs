//! Instructions, counted by callgrind: unlike times they repeat, on any machine of one kind.

use std::fs;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::lambda::Function;
use crate::subject::Subject;
use crate::valgrind::Valgrind;

/// In millions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Instructions {
    /// From the start to the first question for an event.
    pub init: f64,
    /// The first event.
    pub first: f64,
    /// Each event after it.
    pub warm: f64,
}

/// Over so many events a warm one is averaged.
const WARM: u32 = 5;

/// Counts a function's instructions: three processes, with no event, one and some; their differences are what is asked.
pub async fn count(valgrind: &Valgrind, subject: &Subject) -> Result<Instructions> {
    let none = total(valgrind, subject, 0).await?;
    let one = total(valgrind, subject, 1).await?;
    let some = total(valgrind, subject, 1 + WARM).await?;
    Ok(Instructions { init: none, first: one - none, warm: (some - one) / f64::from(WARM) })
}

async fn total(valgrind: &Valgrind, subject: &Subject, events: u32) -> Result<f64> {
    let counted = subject.folder.join(format!("callgrind.{}.{events}", subject.file()));
    let mut function = Function::start(subject, None, &valgrind.wrapper(&counted)).await?;
    function.ready().await?;
    for _ in 0..events {
        function.invoke(subject.event).await?;
    }
    function.end().await?;
    let text = fs::read_to_string(&counted).context("callgrind has written nothing")?;
    let line = text.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    let count: f64 = line.context("callgrind has counted nothing")?.trim().parse()?;
    Ok(count / 1e6)
}
