//! What the login node reports of Slurm, in a sentence or two. The report is hostile, and was cut where it was read
//! (`node_report/scheduler.rs`). Its words come last and after the name of who reports them: no reader is to take them for clusterdrop's.

use std::fmt;

use crate::node_report::{JobsReport, NodesReport, NodesState, SchedulerReport, TEXT_CHARS_MAX};

/// Prints as ` Its login node reports: 2 nodes run, 1 starts; 3 jobs run, 1 waits.` and notes, so many characters of them as one may have.
pub struct Scheduler<'a>(pub &'a SchedulerReport);

impl fmt::Display for Scheduler<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " Its login node reports: {}; {}.", nodes(self.0), jobs(self.0.jobs))?;
        let mut chars = 0;
        let fits = |note: &&String| {
            chars += note.chars().count();
            chars <= TEXT_CHARS_MAX
        };
        self.0.notes.iter().take_while(fits).try_for_each(|note| write!(f, " {note}."))
    }
}

/// `2 nodes run, 1 starts, 3 are down (spot had no capacity)`.
fn nodes(report: &SchedulerReport) -> String {
    let counted = [
        (report.count(NodesState::Running), "runs", "run"),
        (report.count(NodesState::Starting), "starts", "start"),
        (report.count(NodesState::Silent), "does not answer", "do not answer"),
        (report.count(NodesState::Down), "is down", "are down"),
    ];
    let text = listed("node", counted);
    match why_down(report) {
        Some(why) => format!("{text} ({why})"),
        None => text,
    }
}

/// Why nodes are down, unless a note says it anyway.
fn why_down(report: &SchedulerReport) -> Option<String> {
    let is_down = |entry: &&NodesReport| entry.state == NodesState::Down && entry.count > 0 && !entry.reason.is_empty();
    let mut down = report.nodes.iter().filter(is_down);
    let first = down.next()?;
    let is_noted = report.notes.iter().any(|note| note.contains(&first.reason));
    match down.count() {
        0 if is_noted => None,
        0 => Some(first.reason.clone()),
        _ => Some(format!("{}, and other reasons", first.reason)),
    }
}

fn jobs(JobsReport { running, starting, waiting }: JobsReport) -> String {
    listed("job", [(running, "runs", "run"), (starting, "starts", "start"), (waiting, "waits", "wait")])
}

/// What there is of them, each with the verb for one and for many: the first has the noun.
fn listed<const N: usize>(noun: &str, counted: [(u32, &str, &str); N]) -> String {
    let there: Vec<_> = counted.into_iter().filter(|(count, ..)| *count > 0).collect();
    let part = |nth: usize, (count, one, many): (u32, &str, &str)| match (nth, count) {
        (0, 1) => format!("1 {noun} {one}"),
        (0, _) => format!("{count} {noun}s {many}"),
        (_, 1) => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    if there.is_empty() {
        return format!("no {noun}s");
    }
    there.into_iter().enumerate().map(|(nth, counted)| part(nth, counted)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn of(change: impl FnOnce(&mut SchedulerReport)) -> String {
        let mut report = testing::scheduler_report();
        change(&mut report);
        Scheduler(&report).to_string()
    }

    fn entry(state: NodesState, count: u32, reason: &str) -> NodesReport {
        NodesReport { state, count, nodes: String::new(), reason: reason.into() }
    }

    #[test]
    fn it_reads_as_a_person_would_say_it() {
        let fallback = " Its login node reports: 2 nodes run, 1 starts, 1 is down; 3 jobs run, 1 starts, 2 wait. 2 nodes on demand, because \
                        spot had no capacity.";
        assert_eq!(of(|_| {}), fallback);
        assert_eq!(of(|report| *report = SchedulerReport::default()), " Its login node reports: no nodes; no jobs.");
        let waits = |report: &mut SchedulerReport| {
            report.nodes = vec![entry(NodesState::Starting, 1, ""), entry(NodesState::Silent, 2, "")];
            (report.jobs, report.notes) = (JobsReport { waiting: 1, ..JobsReport::default() }, Vec::new());
        };
        assert_eq!(of(waits), " Its login node reports: 1 node starts, 2 do not answer; 1 job waits.");
    }

    #[test]
    fn why_nodes_are_down_is_given_once() {
        let with = |reasons: &[&str], notes: &[&str]| {
            of(|report| {
                report.nodes = reasons.iter().map(|reason| entry(NodesState::Down, 2, reason)).collect();
                (report.jobs, report.notes) = (JobsReport::default(), notes.iter().map(|note| (*note).to_owned()).collect());
            })
        };
        let reports = " Its login node reports: ";
        assert_eq!(with(&["the disk is full"], &[]), format!("{reports}2 nodes are down (the disk is full); no jobs."));
        assert_eq!(
            with(&["no capacity"], &["No capacity", "so: no capacity"]),
            format!("{reports}2 nodes are down; no jobs. No capacity. so: no capacity.")
        );
        assert_eq!(with(&["a", "b", "c"], &[]), format!("{reports}6 nodes are down (a, and other reasons); no jobs."));
        assert_eq!(with(&[""], &[]), format!("{reports}2 nodes are down; no jobs."));
    }

    #[test]
    fn of_many_notes_the_first_that_fit_are_shown() {
        let with = |chars: [usize; 2]| of(|report| report.notes = chars.map(|count| "n".repeat(count)).into());
        assert!(with([100, TEXT_CHARS_MAX - 100]).ends_with(&format!(" {}.", "n".repeat(TEXT_CHARS_MAX - 100))));
        assert!(with([100, TEXT_CHARS_MAX - 99]).ends_with(&format!("wait. {}.", "n".repeat(100))));
    }
}
