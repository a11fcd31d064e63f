//! The step of the test bed: nodes as namespaces with Debian's own packages. It needs root, and no emulator.

use anyhow::Result;
use cf_bed::Base;
use cf_local::SKIPPED;

use super::compiled;
use crate::transcript::Transcript;

/// The tests on the bed, once its base is there. Where this machine refuses what a bed needs, the run ends with a line about it.
pub fn run(out: &Transcript) -> Result<()> {
    if let Err(why) = cf_bed::possible() {
        out.say(&format!("{SKIPPED}whether Debian's Slurm works on nodes of the test bed. {why:#}"));
        return Ok(());
    }
    Base::prepare(&|what| out.say(&format!("  {what}")))?;
    compiled::on_the_bed(out)
}
