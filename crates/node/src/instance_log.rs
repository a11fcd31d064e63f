//! The log of a node: `/var/log/clusterware/instance.log`, where the founding document promises what scripts print.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use jiff::Zoned;

/// The most bytes of a line; the rest of a longer one is left out, and its end says so.
pub const LINE_BYTES_MAX: usize = 8 * 1024;

/// An open log. Lines of several scripts never mix.
#[derive(Debug)]
pub struct InstanceLog {
    file: Mutex<File>,
}

impl InstanceLog {
    /// Opens the log, and makes its folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(Self { file: Mutex::new(OpenOptions::new().create(true).append(true).open(path)?) })
    }

    /// Writes one line. `word` is what the line is about: an event, or the phase of an exchange. A disk that is full loses lines of the log and nothing else, so the caller need not look at
    /// the result.
    pub fn line(&self, now: &Zoned, word: &str, text: &str) {
        let line = format_line(now, word, text);
        if let Ok(mut file) = self.file.lock() {
            let _ = file.write_all(line.as_bytes());
        }
        tracing::info!(event = word, "{}", text.trim_end());
    }
}

/// `Mon DD HH:MM:SS [cluster-customizer:<word>] text`, the day padded with a space (facts B.7). Control characters are left out:
/// what a script prints must not move the cursor of whoever reads the log.
pub fn format_line(now: &Zoned, word: &str, text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| *c == '\t' || !c.is_control()).collect();
    if shown.len() > LINE_BYTES_MAX {
        let end = (0..=LINE_BYTES_MAX).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or(0);
        shown.truncate(end);
        shown.push_str(" … (cut)");
    }
    format!("{} [cluster-customizer:{word}] {shown}\n", now.strftime("%b %e %H:%M:%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_own_time_and_the_events_name() {
        let now = "2026-11-07T09:05:03Z".parse::<jiff::Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let line = format_line(&now, "configure", "\u{1b}[31minstalled\u{1b}[0m\temacs\r");
        assert_eq!(line, "Nov  7 09:05:03 [cluster-customizer:configure] [31minstalled[0m\temacs\n");
        let long = format_line(&now, "start", &"é".repeat(LINE_BYTES_MAX));
        assert!(long.len() < LINE_BYTES_MAX + 100 && long.ends_with("… (cut)\n"), "{}", long.len());
        assert_eq!(format_line(&now, "start", &"a".repeat(LINE_BYTES_MAX)).matches("(cut)").count(), 0);
    }
}
