//! Alice's bytes never make an effect on Bob's things. Worlds in which both own clusters, and in which their names lie as
//! near to each other as names can, get uploads by Alice, honest and hostile, in numbers. With and without an upload, all that
//! is not hers is the same; and her passes ask of nothing and touch nothing but what is hers.
//!
//! `UPLOADS=1000000` is the long form; `UPLOAD_CASE=n` tells of one case what was dropped and what was done.

mod compare;
mod noticed;
mod people;
mod uploads;

use std::collections::BTreeMap;

use cf_core::key::{self, Reading};
use cf_core::reconcile::Outcome;
use cf_sim::Cloud;
use cf_sim::simulate::dice::Draws;
use people::TwoUsers;
use uploads::Upload;

/// Uploads of the short form.
const UPLOADS: u64 = 20_000;

/// One case in so many is followed until its stacks stand, beside the same world without its uploads.
const FOLLOWED: u64 = 8;

/// At most so many times a case she drops something: the later ones meet what the earlier ones have made.
const DROPS_A_CASE: usize = 6;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What was reached, by name.
type Counts = BTreeMap<String, u64>;

/// One case: Alice's uploads into one of the worlds, each handled as soon as it was dropped.
fn case(nth: u64, worlds: &[TwoUsers], counts: &mut Counts) -> Result<u64, String> {
    let mut draws = Draws::new(nth, "uploads");
    let stage = &worlds[draws.index(worlds.len())];
    let mut cloud = stage.cloud.clone();
    let mut dropped = Vec::new();
    for _ in 0..=draws.index(DROPS_A_CASE) {
        let some = uploads::some(&mut draws, stage);
        drop_and_handle(&mut cloud, &some, counts);
        dropped.extend(some);
        let mut wrong = compare::touched(&cloud, stage, &dropped);
        wrong.extend(compare::changed(&stage.cloud, &cloud, stage));
        if !wrong.is_empty() {
            return Err(told(nth, stage, &dropped, &cloud, &wrong));
        }
    }
    if draws.below(FOLLOWED) == 0 {
        *counts.entry("followed to its end".into()).or_default() += 1;
        people::follow(&mut cloud);
        let wrong = compare::ended_otherwise(stage.without(dropped.len()), &cloud, stage);
        if !wrong.is_empty() {
            return Err(told(nth, stage, &dropped, &cloud, &wrong));
        }
    }
    if number("UPLOAD_CASE").is_some() {
        println!("{}", told(nth, stage, &dropped, &cloud, &[]));
    }
    Ok(dropped.len() as u64)
}

/// Drops files of one cluster, and then handles their events. Hers alone; Bob's keep waiting.
fn drop_and_handle(cloud: &mut Cloud, some: &[Upload], counts: &mut Counts) {
    cloud.outcomes.clear();
    cloud.world.state().effects.clear();
    cloud.world.state().asked.clear();
    for upload in some {
        cloud.drop_file(&upload.key, &upload.bytes);
    }
    for upload in some {
        let Some(event) = cloud.queue.pop_back() else { break };
        if cloud.deliver(&event).is_err() {
            *counts.entry("given back".into()).or_default() += 1;
        }
        let reading = match key::read(&upload.key) {
            Reading::Request(_) => "a request",
            Reading::Refused { .. } => "refused by its key",
            Reading::LooksLike { .. } => "looks like a request",
            Reading::NotARequest => "not a request",
        };
        *counts.entry(reading.to_owned()).or_default() += 1;
    }
    for action in cloud.outcomes.iter().flat_map(Outcome::actions) {
        *counts.entry(format!("{action:?}")).or_default() += 1;
    }
}

fn told(nth: u64, stage: &TwoUsers, dropped: &[Upload], cloud: &Cloud, wrong: &[String]) -> String {
    let mut text = format!("UPLOAD_CASE={nth}: alice is {}, bob is {}, {}", stage.alice, stage.bob, stage.what);
    for upload in dropped {
        text += &format!("\n  dropped {:?}: {:.200}", upload.key, String::from_utf8_lossy(&upload.bytes));
    }
    for plan in cloud.outcomes.iter().flat_map(|o| &o.plans) {
        text += &format!("\n  {plan}");
    }
    for what in wrong {
        text += &format!("\n  WRONG: {what}");
    }
    text
}

/// All cases of one of the threads: every `threads`-th case.
fn work(hand: u64, threads: u64, uploads: u64, worlds: &[TwoUsers]) -> (u64, Counts, Vec<String>) {
    let (mut done, mut counts, mut wrong) = (0, Counts::new(), Vec::new());
    let mut nth = hand;
    while done < uploads.div_ceil(threads) && wrong.len() < 5 {
        match case(nth, worlds, &mut counts) {
            Ok(uploads) => done += uploads,
            Err(what) => wrong.push(what),
        }
        nth += threads;
    }
    (done, counts, wrong)
}

/// What has to be reached for the test to mean anything: each way in which an upload can end.
const REACHED: [&str; 16] = [
    "a request",
    "refused by its key",
    "not a request",
    "followed to its end",
    "Start",
    "RefuseInvalid",
    "Delete",
    "Announce",
    "RefuseDiffering",
    "Join",
    "AnswerNoSuch",
    "AnswerGone",
    "AnswerSupersededDelete",
    "AnswerSupersededCreate",
    "FollowCreation",
    "RefuseLeftover",
];

#[test]
fn alices_bytes_never_make_an_effect_on_bobs_things() {
    let worlds = people::worlds();
    if let Some(nth) = number("UPLOAD_CASE") {
        case(nth, &worlds, &mut Counts::new()).unwrap_or_else(|wrong| panic!("{wrong}"));
        return;
    }
    let wanted = number("UPLOADS").unwrap_or(UPLOADS);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let begun = std::time::Instant::now();
    let parts: Vec<_> = std::thread::scope(|scope| {
        let worlds = &worlds;
        let running: Vec<_> = (0..threads).map(|hand| scope.spawn(move || work(hand, threads, wanted, worlds))).collect();
        running.into_iter().filter_map(|part| part.join().ok()).collect()
    });
    assert_eq!(parts.len() as u64, threads, "a thread panicked");
    let (mut done, mut counts, mut wrong) = (0, Counts::new(), Vec::new());
    for (some, reached, bad) in parts {
        done += some;
        for (what, times) in reached {
            *counts.entry(what).or_default() += times;
        }
        wrong.extend(bad);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    println!("{done} uploads into {} worlds in {:.1} s; reached: {counts:?}", worlds.len(), begun.elapsed().as_secs_f64());
    assert!(done >= wanted);
    for what in REACHED {
        assert!(counts.get(what).is_some_and(|times| times * 10_000 > done), "{what} was hardly reached: {counts:?}");
    }
}
