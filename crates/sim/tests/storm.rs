//! A storm in a small world: two users drop, replace and withdraw files, an administrator deletes stacks by hand, calls are
//! lost, events doubled, dropped and shuffled. When it is over everything is at rest, and nobody is owed anything.

use cf_core::stack::{StackId, StackStatus};
use cf_core::testing;
use cf_sim::{Bucket, Cloud, Event, Fate, When};

/// Seeds of one run; `STORM_SEED=n` replays one of them and prints its plans.
const SEEDS: u64 = 2000;
const STEPS: usize = 40;

/// xorshift64*: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let roll = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(roll).unwrap_or(0) % most
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

const STEMS: [&str; 5] = ["home/alice/x", "home/alice/old runs/x", "home/alice/y", "home/bob/x", "home/bob/a/x"];
const BODIES: [&[u8]; 4] = [b"{}", b"{}", br#"{"ComputeMaxNodes": "8"}"#, b"no order"];
const FATES: [Fate; 7] = [Fate::Succeeds, Fate::Succeeds, Fate::Succeeds, Fate::NoLogin, Fate::Fails, Fate::DeleteFails, Fate::Protected];

fn living(cloud: &Cloud) -> Vec<StackId> {
    cloud.world.state().stacks.all_living().map(|s| s.stack.id.clone()).collect()
}

/// An administrator removes a stack, whoever waits for it.
fn remove_by_hand(cloud: &mut Cloud, dice: &mut Dice) {
    let stacks = living(cloud);
    if stacks.is_empty() {
        return;
    }
    let (id, at) = (dice.pick(&stacks), cloud.world.now());
    let _ = cloud.world.state().stacks.delete(&id, at);
    cloud.queue.push_back(Event::Stack(id));
}

fn change_by_hand(cloud: &mut Cloud, dice: &mut Dice) {
    let standing: Vec<StackId> = {
        let state = cloud.world.state();
        state.stacks.all_living().filter(|s| s.stack.status == StackStatus::CreateComplete).map(|s| s.stack.id.clone()).collect()
    };
    if !standing.is_empty() {
        let (id, at) = (dice.pick(&standing), cloud.world.now());
        cloud.world.state().stacks.set_status(&id, StackStatus::UpdateInProgress, at);
    }
}

fn step(cloud: &mut Cloud, dice: &mut Dice) {
    match dice.below(20) {
        0..=4 => cloud.drop_file(&format!("{}.cf-create", dice.pick(&STEMS)), dice.pick(&BODIES)),
        5..=7 => cloud.drop_file(&format!("{}.cf-delete", dice.pick(&STEMS)), b""),
        8 => {
            let key =
                format!("{}{}", dice.pick(&STEMS), dice.pick(&[".cf-create", ".cf-delete", ".cf-failed", ".cf-created", ".cf-status"]));
            cloud.world.state().store.delete(Bucket::User, &key);
        }
        9 => remove_by_hand(cloud, dice),
        10 => change_by_hand(cloud, dice),
        11 => drop(cloud.step()),
        12 => cloud.queue.push_back(Event::Sweep),
        // Two in the same second, too.
        13 => cloud.world.wait(i64::try_from(dice.below(200)).unwrap_or(0)),
        14 => cloud.world.state().blind_looks = dice.below(3),
        15 => cloud.world.state().stacks.next_fate = dice.pick(&FATES),
        _ => deliver(cloud, dice),
    }
}

/// Any of the events on their way: it may be lost, come twice, or die half-way and come again, or not.
fn deliver(cloud: &mut Cloud, dice: &mut Dice) {
    if cloud.queue.is_empty() {
        return;
    }
    let at = dice.below(cloud.queue.len());
    let Some(event) = cloud.queue.remove(at) else { return };
    match dice.below(8) {
        0 if matches!(event, Event::Stack(_) | Event::Sweep) => return,
        1 => cloud.queue.push_back(event.clone()),
        2 | 3 => cloud.world.spoil(dice.below(10), dice.pick(&[When::Before, When::After])),
        _ => {}
    }
    if cloud.deliver(&event).is_err() {
        // An upload's event is kept by the queues behind the function; a stack's may be lost.
        cloud.queue.push_back(event);
    }
    cloud.world.state().spoil = None;
}

/// Mails told apart by their text, which names the upload or the stack: none comes twice.
fn run(seed: u64) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let mut cloud = Cloud::new(testing::site()).with_profile("alice").with_profile("bob");
    cloud.world.state().store.versioned = dice.below(2) == 0;
    for _ in 0..STEPS {
        step(&mut cloud, &mut dice);
    }
    cloud.world.state().blind_looks = 0;
    cloud.settle();
    if std::env::var_os("STORM_SEED").is_some() {
        cloud.outcomes.iter().flat_map(|o| &o.plans).for_each(|plan| println!("{plan}"));
    }
    cloud.complaints()
}

fn check(seed: u64) -> Option<String> {
    let told = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| vec!["it panicked".into()]);
    (!told.is_empty()).then(|| format!("STORM_SEED={seed}: {}", told.join("; ")))
}

#[test]
fn after_any_storm_everything_is_at_rest_and_nobody_is_owed_anything() {
    let replay = std::env::var("STORM_SEED").ok().and_then(|s| s.parse::<u64>().ok());
    let (from, to) = replay.map_or((1, SEEDS), |seed| (seed, seed));
    let middle = from + (to - from) / 2;
    let told: Vec<String> = std::thread::scope(|scope| {
        let halves = [from..=middle, middle + 1..=to].map(|seeds| scope.spawn(move || seeds.filter_map(check).collect::<Vec<_>>()));
        halves.into_iter().flat_map(|half| half.join().unwrap_or_else(|_| vec!["a thread panicked".into()])).collect()
    });
    assert!(told.is_empty(), "{} storms went wrong:\n{}", told.len(), told[..told.len().min(20)].join("\n"));
}
