//! Seeds that once failed. The first ten were found by removing a fix again, the last four before the fix existed. Beside each is
//! the bug, and the code that prevents it.
//!
//! Since then files that S3 does not give out, long listings and touched files were added, and passes look again after more lost
//! races: some of these seeds are other lives now. They stay as seeds that must go well.
//!
//! A seed's story follows from the code that writes scripts (`simulate/script.rs`) and from the calls of each pass. Where those
//! change, look for new seeds the same way: take the mending out, and simulate.

use cf_sim::simulate::{run, tally};

/// Seeds that the simulator once judged wrongly.
const MISJUDGED: [(u64, &str); 1] = [(
    392_569,
    "a receipt that took seconds to arrive: when its look began, no CreateStack was on its way, and another pass has sent one since",
)];

/// Seed, fault, mending.
const FOUND: [(u64, &str, &str); 14] = [
    (24_173, "a slow pass reported `deleting` after the end had been reported", "follow_delete: the ledger is written first"),
    (
        151_267,
        "a state was written under the version of another look",
        "ClusterFiles::note_status_version: the version is that of what was read",
    ),
    (156_136, "the same, where a removal was under way", "ClusterFiles::note_status_version"),
    (27, "a create whose event came after a later delete was done was started", "Triage::CreateSuperseded"),
    (107, "the same", "Triage::CreateSuperseded"),
    (205, "a delete whose event came after a later create was ready removed it", "Triage::DeleteSuperseded"),
    (621, "a late delete superseded a create that was younger", "Triage::DeleteSuperseded"),
    (197, "a new upload was told that it was given up, which was its predecessor", "Builder::drop_creates_without_upload"),
    (275, "the same", "Builder::drop_creates_without_upload"),
    (242, "an upload that was one too many was never answered", "triage: a crowd's surplus comes first"),
    (5_336_531, "a `deleting` on its way came after `failed`, and stood for ever", "Builder::status: a final state is written anew"),
    (
        5_386_692,
        "a create in an entry that was over was owed an answer for ever",
        "Builder::drop_creates_without_upload, triage: nothing to share in",
    ),
    (
        5_125_704,
        "a cluster removed by hand: the upload that it was made for went without an answer",
        "report_deleted_by_others: each place has the answer",
    ),
    (
        821_360,
        "where an old stack would not go, the waiting create was answered late",
        "fail_undeletable: it is answered as occupied, and what stands is recovered",
    ),
];

#[test]
fn what_went_wrong_once_goes_well() {
    for (seed, what, mending) in FOUND {
        assert_eq!(run(&tally::setting(seed)).findings, [], "seed {seed}: {what} ({mending})");
    }
}

#[test]
fn what_was_true_when_it_was_decided_is_no_lie() {
    for (seed, what) in MISJUDGED {
        assert_eq!(run(&tally::setting(seed)).findings, Vec::<cf_sim::Finding>::new(), "seed {seed}: {what}");
    }
}
