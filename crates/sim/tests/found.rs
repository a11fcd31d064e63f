//! Seeds that once went wrong, each by a fault of the product that was mended since (CHANGELOG, "Mended").

use cf_sim::simulate::{run, tally};

/// Seeds, and what they found. The scripts behind them follow from the code that writes them: where that changes, a seed may
/// tell another story, and the fault's own test is the one in `tests/sweep.rs` or the acceptance tests.
const FOUND: [(u64, &str); 12] = [
    (220, "a state was told under the version of another look: `deleting` stood after `deleted`"),
    (223, "a create whose event came after a later delete was done was started"),
    (225, "a new upload was told that it was given up, which was its predecessor"),
    (237, "a delete whose event came after a later create was ready removed it"),
    (943, "what was left of a creation was said to be on its way out, and was stuck"),
    (1837, "a late delete withdrew a create that was younger, to make room for another"),
    (3771, "an upload that was one too many was never answered, where others waited for a failed stack"),
    (4014, "the same, where the crowd waited for another end"),
    (5778, "an address stayed in a folder that was one too many to be remembered"),
    (10_753, "a slow pass told `deleting` after the failure had been told"),
    (13_653, "the same, in another order"),
    (18_508, "a slow pass told `deleting` after the removal had failed"),
];

#[test]
fn what_went_wrong_once_goes_well() {
    for (seed, what) in FOUND {
        assert_eq!(run(&tally::setting(seed)).wrongs, Vec::<String>::new(), "seed {seed}: {what}");
    }
}
