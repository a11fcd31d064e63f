//! Ctrl-C, and being ended by others: what we have started ends with us, and takes its scratch along.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{children, scratch};

/// How long a program that starts others waits for them.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// As long again: a program that has children of its own needs the time above for them, and must not be killed meanwhile.
pub const PATIENCE_WITH_GRANDCHILDREN: Duration = Duration::from_secs(12);

/// From here on a signal ends this process and all that it has started, each of which has so long for it; `say` tells of it.
pub fn watch(patience: Duration, say: fn()) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            children::end_all(patience);
            scratch::remove_all();
            say();
            // Threads that waited for a child have nothing more to do.
            std::process::exit(130);
        }
    });
    Ok(())
}
