//! Takes the terminal away from the scripts of a try. A node has none, so a script that opens `/dev/tty` fails there; here it would
//! be stopped by the kernel (SIGTTIN) and seem to hang. Only a process that leads no group can leave its terminal, so the command
//! runs a second time, as its own child.

use std::fs::File;
use std::io;

use rustix::process::{Pid, Signal, kill_process, setsid};
use tokio::process::Command;

use crate::signals::Signals;

/// Set in the child's environment.
const MARK: &str = "CF_NODE_TRY_WITHOUT_TERMINAL";

/// Leaves the terminal, if there is one. Returns the exit status of the command where a child has done all its work.
pub async fn leave_terminal() -> io::Result<Option<u8>> {
    if std::env::var_os(MARK).is_some() {
        // It fails only where there is nothing to leave.
        let _ = setsid();
        return Ok(None);
    }
    if File::open("/dev/tty").is_err() {
        return Ok(None);
    }
    let mut signals = Signals::listen()?;
    let mut child = Command::new(std::env::current_exe()?).args(std::env::args_os().skip(1)).env(MARK, "1").spawn()?;
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    loop {
        tokio::select! {
            status = child.wait() => return Ok(Some(status?.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
            // Ctrl-C reaches the terminal's processes only, so it is handed on.
            () = signals.next() => if let Some(pid) = pid {
                let _ = kill_process(pid, Signal::TERM);
            },
        }
    }
}
