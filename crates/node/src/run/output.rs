//! A script's output: told line by line, each stream for itself, within bounds, and always read on, so that no script ever waits
//! for a reader.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::task::JoinHandle;

use crate::instance_log::LINE_BYTES_MAX;

/// So many last lines are kept for the report.
pub const LINES_TOLD_MAX: usize = 10;

/// The most characters of each of them.
pub const LINE_TOLD_CHARS_MAX: usize = 300;

/// So many of the last bytes of each stream are kept as they came.
pub const TAIL_BYTES_MAX: usize = 16 * 1024;

/// What a line costs in the log beside its text: the time, the prefix.
const LINE_OVERHEAD: u64 = 64;

const READ_BYTES: usize = 64 * 1024;

/// What is called with each line.
pub type Sink = Arc<dyn Fn(Stream, &str) + Send + Sync>;

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Not the script's: lines were left out.
    LeftOut,
}

/// The output of one script, shared by the readers of its two streams.
pub struct Output {
    sink: Sink,
    bytes_max: u64,
    state: Mutex<State>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// Bytes told so far, with each line's overhead.
    told: u64,
    /// Whether the bound has been met: from then on lines are counted.
    full: bool,
    left_out: u64,
    /// How many lines have ended, so that the last ones of both streams can be put in order.
    count: u64,
    stdout: Source,
    stderr: Source,
}

/// One of the streams.
#[derive(Debug, Default)]
struct Source {
    line: Line,
    /// Its last lines, and which line of the script each was.
    last: VecDeque<(u64, String)>,
    /// Its last bytes.
    tail: VecDeque<u8>,
}

/// A line that has not ended.
#[derive(Debug, Default)]
struct Line {
    /// Its first bytes, at most [`LINE_BYTES_MAX`].
    bytes: Vec<u8>,
    /// Whether there were more.
    cut: bool,
}

impl Output {
    /// Output of which so many bytes are told.
    pub fn new(sink: Sink, bytes_max: u64) -> Self {
        Self { sink, bytes_max, state: Mutex::default() }
    }

    /// Reads both streams of a script to their ends. The task that is returned ends with them; dropping it ends nothing.
    pub fn follow(self: &Arc<Self>, child: &mut Child) -> JoinHandle<()> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let output = Arc::clone(self);
        tokio::spawn(async move {
            // Of what both got meanwhile, standard output goes first: an error most often follows what it is about. Two pipes have no order.
            tokio::join!(biased; output.read(Stream::Stdout, stdout), output.read(Stream::Stderr, stderr));
            // What a background process printed after the script's own end.
            output.tell_left_out(&mut output.state());
        })
    }

    async fn read(&self, stream: Stream, pipe: Option<impl AsyncRead + Unpin>) {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match pipe.read(&mut buffer).await {
                Ok(count) if count > 0 => self.take(stream, &buffer[..count]),
                // A pipe has no errors that a reader could do anything about.
                Ok(_) | Err(_) => break,
            }
        }
        self.end_line(stream, &mut self.state());
    }

    /// Ends the lines that are begun, and returns the last ones.
    pub fn conclude(&self) -> Vec<String> {
        let mut state = self.state();
        self.end_line(Stream::Stdout, &mut state);
        self.end_line(Stream::Stderr, &mut state);
        self.tell_left_out(&mut state);
        last_of(&state.stdout.last, &state.stderr.last)
    }

    /// The last bytes of standard output and of standard error, at most [`TAIL_BYTES_MAX`] of each.
    pub fn tails(&self) -> (Vec<u8>, Vec<u8>) {
        let mut state = self.state();
        let mut taken = |stream| std::mem::take(&mut state.source(stream).tail).into();
        (taken(Stream::Stdout), taken(Stream::Stderr))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A sink that panicked has lost a line; the others are still good.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next bytes of a stream.
    fn take(&self, stream: Stream, mut bytes: &[u8]) {
        let mut state = self.state();
        state.source(stream).keep_tail(bytes);
        if state.full {
            bytes = state.pass_over(stream, bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            state.source(stream).line.push(&bytes[..end]);
            self.tell(stream, &mut state);
            bytes = &bytes[end + 1..];
        }
        state.source(stream).line.push(bytes);
    }

    fn end_line(&self, stream: Stream, state: &mut State) {
        if !state.source(stream).line.bytes.is_empty() {
            self.tell(stream, state);
        }
    }

    /// Tells the stream's line, which has ended.
    fn tell(&self, stream: Stream, state: &mut State) {
        let line = std::mem::take(&mut state.source(stream).line);
        let mut text = String::from_utf8_lossy(&line.bytes).into_owned();
        if line.cut {
            text.push_str(" … (cut)");
        }
        let text = text.trim_end_matches('\r');
        state.keep(stream, text);
        let cost = text.len() as u64 + LINE_OVERHEAD;
        if state.full || state.told + cost > self.bytes_max {
            state.full = true;
            state.left_out += 1;
        } else {
            state.told += cost;
            (self.sink)(stream, text);
        }
    }

    fn tell_left_out(&self, state: &mut State) {
        let count = std::mem::take(&mut state.left_out);
        if count > 0 {
            let lines = if count == 1 { "line is" } else { "lines are" };
            (self.sink)(Stream::LeftOut, &format!("{count} more {lines} left out: a script has {} bytes of the log", self.bytes_max));
        }
    }
}

impl State {
    fn source(&mut self, stream: Stream) -> &mut Source {
        if stream == Stream::Stderr { &mut self.stderr } else { &mut self.stdout }
    }

    /// Keeps a line for the report.
    fn keep(&mut self, stream: Stream, text: &str) {
        self.count += 1;
        let line = (self.count, readable(text));
        let last = &mut self.source(stream).last;
        if last.len() == LINES_TOLD_MAX {
            last.pop_front();
        }
        last.push_back(line);
    }

    /// Of bytes whose lines are only counted, counts all but the last lines, which the report may need, and returns those. A flood of
    /// short lines costs nothing else.
    fn pass_over<'a>(&mut self, stream: Stream, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes.len();
        for _ in 0..=LINES_TOLD_MAX {
            match bytes[..rest].iter().rposition(|byte| *byte == b'\n') {
                Some(end) => rest = end,
                None => return bytes,
            }
        }
        let (passed, kept) = bytes.split_at(rest + 1);
        let mut lines = 0;
        for byte in passed {
            lines += u64::from(*byte == b'\n');
        }
        self.left_out += lines;
        self.source(stream).line = Line::default();
        kept
    }
}

/// The last lines of both streams, in order. Half of them are each stream's own: what a script says on standard error as it ends is
/// not lost behind what it has printed, which is read from another pipe and may come later.
fn last_of(stdout: &VecDeque<(u64, String)>, stderr: &VecDeque<(u64, String)>) -> Vec<String> {
    let ranked = [stdout, stderr].into_iter().flat_map(|last| last.iter().rev().enumerate());
    let mut lines: Vec<(bool, &(u64, String))> = ranked.map(|(rank, line)| (rank < LINES_TOLD_MAX / 2, line)).collect();
    lines.sort_by(|a, b| b.cmp(a));
    lines.truncate(LINES_TOLD_MAX);
    lines.sort_by_key(|(_, (nth, _))| *nth);
    lines.into_iter().map(|(_, (_, text))| text.clone()).collect()
}

/// A line as a report has it: no colours, nothing that steers a terminal, at most [`LINE_TOLD_CHARS_MAX`] characters.
fn readable(text: &str) -> String {
    let mut plain = String::new();
    let mut parts = text.split("\u{1b}[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // A sequence ends with its first letter, or `@`, `~` and their like.
        plain.push_str(part.find(|c| matches!(c, '@'..='~')).map_or("", |end| &part[end + 1..]));
    }
    plain.retain(|c| c == '\t' || !c.is_control());
    let shown = cf_core::characters::shown(&plain, 0, LINE_TOLD_CHARS_MAX - 1);
    // Characters that cannot be seen are written out, and take more room.
    if shown.chars().count() <= LINE_TOLD_CHARS_MAX { shown } else { shown.chars().take(LINE_TOLD_CHARS_MAX - 1).chain(['…']).collect() }
}

impl Source {
    fn keep_tail(&mut self, bytes: &[u8]) {
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..]);
        let over = self.tail.len().saturating_sub(TAIL_BYTES_MAX);
        self.tail.drain(..over);
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Puts the pieces to a fresh output; returns what was told and what was kept.
    fn told(bytes_max: u64, pieces: &[(Stream, &[u8])]) -> (Vec<String>, Vec<String>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let sink: Sink = Arc::new(move |stream, text| sink.lock().unwrap().push(format!("{stream:?} {text}")));
        let output = Output::new(sink, bytes_max);
        for (stream, bytes) in pieces {
            output.take(*stream, bytes);
        }
        let kept = output.conclude();
        let told = lines.lock().unwrap().clone();
        (told, kept)
    }

    #[test]
    fn lines_of_both_streams_are_put_together_each_from_its_own_pieces() {
        use Stream::{Stderr, Stdout};
        let pieces: [(Stream, &[u8]); 6] =
            [(Stdout, b"on"), (Stderr, b"err\xff\nmo"), (Stdout, b"e\r\n\n"), (Stderr, b"re"), (Stdout, b"two\nend"), (Stderr, b"")];
        let (told, kept) = told(10_000, &pieces);
        assert_eq!(told, ["Stderr err\u{fffd}", "Stdout one", "Stdout ", "Stdout two", "Stdout end", "Stderr more"]);
        assert_eq!(kept, ["err\u{fffd}", "one", "", "two", "end", "more"]);
    }

    proptest! {
        #[test]
        fn however_a_stream_is_cut_into_pieces_its_lines_are_the_same(
            bytes in prop::collection::vec(prop::sample::select(b"ab\n\r\xff".to_vec()), 0..200),
            sizes in prop::collection::vec(1usize..40, 1..20),
            bytes_max in prop::sample::select(vec![0, 200, 1_000, 1_000_000]),
        ) {
            let mut rest = bytes.as_slice();
            let mut pieces: Vec<(Stream, &[u8])> = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at((*size).min(rest.len()));
                pieces.push((Stream::Stdout, piece));
                rest = after;
            }
            prop_assert_eq!(told(bytes_max, &pieces), told(bytes_max, &[(Stream::Stdout, &bytes)]));
            let lines = bytes.split(|byte| *byte == b'\n').count() - usize::from(bytes.is_empty() || bytes.ends_with(b"\n"));
            let (shown, kept) = told(1_000_000, &pieces);
            prop_assert_eq!((shown.len(), kept.len()), (lines, lines.min(LINES_TOLD_MAX)));
        }
    }

    #[test]
    fn a_line_is_cut_above_the_bound_and_whole_at_it() {
        let whole = [vec![b'a'; LINE_BYTES_MAX], b"\n".to_vec()].concat();
        assert_eq!(told(100_000, &[(Stream::Stdout, &whole)]).0, [format!("Stdout {}", "a".repeat(LINE_BYTES_MAX))]);
        let long = vec![b'a'; 1_000_000];
        let (told, kept) = told(100_000, &[(Stream::Stdout, &long), (Stream::Stdout, &long), (Stream::Stdout, b"\nb\n")]);
        assert_eq!(told, [format!("Stdout {} … (cut)", "a".repeat(LINE_BYTES_MAX)), "Stdout b".to_owned()]);
        assert_eq!(kept[0].chars().count(), LINE_TOLD_CHARS_MAX);
    }

    #[test]
    fn the_last_lines_of_one_stream_do_not_hide_the_others() {
        let out: String = (0..100).map(|nth| format!("{nth}\n")).collect();
        let pieces: [(Stream, &[u8]); 3] = [(Stream::Stderr, b"a\nb\n"), (Stream::Stdout, out.as_bytes()), (Stream::Stderr, b"c")];
        assert_eq!(told(100_000, &pieces).1, ["a", "b", "93", "94", "95", "96", "97", "98", "99", "c"]);
        assert_eq!(told(100_000, &pieces[1..2]).1.len(), LINES_TOLD_MAX);
        let many: [(Stream, &[u8]); 2] = [(Stream::Stderr, out.as_bytes()), (Stream::Stdout, out.as_bytes())];
        assert_eq!(told(100_000, &many).1, ["95", "96", "97", "98", "99"].repeat(2));
    }

    #[test]
    fn a_reported_line_has_no_colours_and_is_never_longer_than_its_bound() {
        assert_eq!(readable("\u{1b}[1;31merror:\u{1b}[0m\tno é\u{7}\u{1b}[K"), "error: no é");
        assert_eq!(readable("\u{1b}[31"), "");
        assert_eq!(readable(&"\u{202e}".repeat(1_000)).chars().count(), LINE_TOLD_CHARS_MAX);
        assert_eq!(readable(&"a".repeat(LINE_TOLD_CHARS_MAX - 1)), "a".repeat(LINE_TOLD_CHARS_MAX - 1));
    }

    #[test]
    fn the_last_bytes_of_each_stream_are_kept_as_they_came() {
        let output = Output::new(Arc::new(|_, _| {}), 0);
        output.take(Stream::Stderr, b"a\r\n\xff");
        for _ in 0..2 {
            output.take(Stream::Stdout, &vec![b'x'; TAIL_BYTES_MAX - 1]);
        }
        output.take(Stream::Stdout, b"\n\nend");
        let (stdout, stderr) = output.tails();
        assert_eq!((stdout.len(), stderr.as_slice()), (TAIL_BYTES_MAX, b"a\r\n\xff".as_slice()));
        assert!(stdout.ends_with(b"x\n\nend"));
    }

    #[test]
    fn a_flood_is_told_up_to_the_bound_then_counted_and_its_last_lines_are_kept() {
        let flood: String = (0..100_000).map(|nth| format!("{nth}\n")).collect();
        let text = flood.as_bytes();
        // In pieces of all sizes, so that lines are broken everywhere.
        for size in [1, 7, 64, 4096, text.len()] {
            let pieces: Vec<(Stream, &[u8])> = text.chunks(size).map(|piece| (Stream::Stdout, piece)).collect();
            let (told, kept) = told(10 * (LINE_OVERHEAD + 1), &pieces);
            assert_eq!(told.len(), 11, "{size}");
            assert_eq!(told[9..], ["Stdout 9", "LeftOut 99990 more lines are left out: a script has 650 bytes of the log"], "{size}");
            assert_eq!(kept, (99_990..100_000).map(|nth| nth.to_string()).collect::<Vec<_>>(), "{size}");
        }
        assert_eq!(
            told(LINE_OVERHEAD, &[(Stream::Stderr, b"a\n")]).0,
            ["LeftOut 1 more line is left out: a script has 64 bytes of the log"]
        );
    }
}
