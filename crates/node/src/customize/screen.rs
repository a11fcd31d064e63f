//! What a command prints while scripts run. It goes to the node's log too, so that a failure is found there later.

use std::io::Write as _;

use jiff::Zoned;

use crate::hooks::{Listener, LogListener};
use crate::instance_log::{InstanceLog, LINE_BYTES_MAX};
use crate::node::Layout;
use crate::run::Stream;

/// Prints to the terminal and to the log.
pub struct Screen {
    /// Nothing where the log cannot be opened: the scripts run all the same.
    log: Option<LogListener<fn() -> Zoned>>,
}

impl Screen {
    /// The terminal and this node's log.
    pub fn new(layout: &Layout) -> Self {
        let log = match InstanceLog::open(&layout.instance_log()) {
            Ok(log) => Some(LogListener { log, clock: Zoned::now as fn() -> Zoned }),
            Err(error) => {
                complain(&format!("what scripts print is not kept: {} cannot be opened: {error}", layout.instance_log().display()));
                None
            }
        };
        Self { log }
    }
}

/// Prints a line. A reader that has gone (`| head`) is no reason to stop scripts.
pub fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a line to standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "cf-node customize: {line}");
}

impl Listener for Screen {
    fn note(&self, word: &str, text: &str) {
        print(&format!("> {text}"));
        if let Some(log) = &self.log {
            log.note(word, text);
        }
    }

    fn line(&self, word: &str, script: &str, stream: Stream, text: &str) {
        let mark = if stream == Stream::Stderr { '!' } else { '|' };
        print(&format!("{script} {mark} {}", cf_core::characters::shown(text, 0, LINE_BYTES_MAX)));
        if let Some(log) = &self.log {
            log.line(word, script, stream, text);
        }
    }
}
