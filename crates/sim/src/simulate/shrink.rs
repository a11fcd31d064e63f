//! From a failing run to the least that still fails: lines of the script and faults are left out, as many as can be.
//! Every fall of the dice has its own key, so what is left behaves as it did.

use super::fault_plan::FaultKind;
use super::run::run;
use super::run_settings::{Report, RunSettings};

/// So many runs are tried at most.
const TRIALS_MAX: usize = 4_000;

/// The smallest run found that goes wrong as this one does. It is the same run where nothing can be left out.
pub fn shrink<'b>(setting: &RunSettings<'b>) -> RunSettings<'b> {
    let mut best = RunSettings { keeps_log: false, ..setting.clone() };
    let mut trials = 0;
    loop {
        let before = (best.left_out.len(), best.skipped_faults.len());
        let report = run(&best);
        trials += 1;
        let lines: Vec<usize> = (0..report.lines).filter(|nth| !best.left_out.contains(nth)).collect();
        leave_out(&lines, &mut best, &mut trials, |setting, some| setting.left_out.extend(some.iter().copied()));
        let injected: Vec<(FaultKind, u64)> = run(&best).injected;
        leave_out(&injected, &mut best, &mut trials, |setting, some| setting.skipped_faults.extend(some.iter().copied()));
        if (best.left_out.len(), best.skipped_faults.len()) == before || trials > TRIALS_MAX {
            return RunSettings { keeps_log: setting.keeps_log, ..best };
        }
    }
}

/// Tries to do without halves, quarters and single ones of `all`.
fn leave_out<'b, T>(all: &[T], best: &mut RunSettings<'b>, trials: &mut usize, out: impl Fn(&mut RunSettings<'b>, &[T])) {
    let mut size = all.len().div_ceil(2).max(1);
    loop {
        for some in all.chunks(size) {
            let mut trial = best.clone();
            out(&mut trial, some);
            *trials += 1;
            if *trials > TRIALS_MAX {
                return;
            }
            if fails(&run(&trial)) {
                *best = trial;
            }
        }
        if size == 1 {
            return;
        }
        size = size.div_ceil(2);
    }
}

fn fails(report: &Report) -> bool {
    !report.findings.is_empty()
}
