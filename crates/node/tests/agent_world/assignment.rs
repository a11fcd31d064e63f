//! The world of the numbers: one login node that crashes, machines that ask over a bad network, are members, leave and come back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cf_node::agent::assignment::{Assignment, Rules};
use cf_node::node::NodeName;
use cf_node::request::{Asks, Refusal};

use super::Dice;

/// A bug that a test plants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    AnswersBeforeWrite,
    ForgetsAtCrash,
    IgnoresMembers,
    TakesEarly,
}

const NODES_MAX: u32 = 4;
const RULES: Rules = Rules { given_up_after: Duration::from_mins(10), away_min: Duration::from_mins(1) };
/// The gossip knows of a join or a loss after so many seconds.
const GOSSIP: u64 = 8;
/// What a machine asks again after.
const ASKS_EVERY: u64 = 10;

/// A machine, as it really is.
#[derive(Debug, Default)]
struct Machine {
    alive: bool,
    /// The name that it was answered, and lives under.
    name: Option<NodeName>,
    /// Since when it is up, or down.
    since: u64,
    /// When the desk last saw it as a member, or first gave it its name.
    seen: u64,
    asks_at: u64,
}

/// What is on its way: to the login node, or back.
enum Message {
    Asks(usize),
    Answers(usize, Result<NodeName, Refusal>),
}

pub struct Numbers {
    dice: Dice,
    bug: Option<Bug>,
    now: u64,
    disk: Option<String>,
    book: Option<Assignment>,
    /// When the login node's agent started, or will.
    started: u64,
    machines: Vec<Machine>,
    network: BTreeMap<(u64, u64), Message>,
    count: u64,
    pub answered: u64,
    pub replaced: u64,
    pub crashes: u64,
}

impl Numbers {
    pub fn new(seed: u64, bug: Option<Bug>) -> Self {
        let machines = (0..NODES_MAX).map(|_| Machine { alive: true, ..Machine::default() }).collect();
        let (dice, network) = (Dice(seed), BTreeMap::new());
        let book = Some(Assignment::default());
        Self { dice, bug, now: 0, disk: None, book, started: 0, machines, network, count: 0, answered: 0, replaced: 0, crashes: 0 }
    }

    pub fn run(&mut self) -> Result<(), String> {
        while self.now < 3_000 {
            self.step()?;
            self.now += 1;
        }
        // From now on nothing bad happens: whoever lives has a number, and no two the same.
        while self.now < 3_000 + 200 {
            self.quiet_step()?;
            self.now += 1;
        }
        let living: Vec<Option<NodeName>> = self.machines.iter().filter(|machine| machine.alive).map(|machine| machine.name).collect();
        let names: BTreeSet<NodeName> = living.iter().flatten().copied().collect();
        if names.len() != living.len() {
            return Err(format!("a machine that lives has no number of its own: {living:?}"));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        if self.dice.percent(1) {
            self.machine_dies();
        }
        if self.dice.below(200) == 0 {
            self.login_node_crashes();
        }
        self.quiet_step()
    }

    fn quiet_step(&mut self) -> Result<(), String> {
        if self.book.is_none() && self.now >= self.started {
            self.login_node_starts()?;
        }
        self.machines_ask();
        while let Some(entry) = self.network.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Message::Asks(machine) => self.asked(machine)?,
                Message::Answers(machine, answer) => self.answers(machine, &answer)?,
            }
        }
        self.look()
    }

    /// A machine dies for good, and the group starts another; or it reboots.
    fn machine_dies(&mut self) {
        let nth = usize::try_from(self.dice.below(self.machines.len() as u64)).unwrap_or_default();
        if !self.machines[nth].alive {
            return;
        }
        if self.dice.percent(50) {
            self.machines[nth].alive = false;
            let since = self.now + 40 + self.dice.below(100);
            self.machines.push(Machine { alive: true, since, asks_at: since, ..Machine::default() });
            self.replaced += 1;
        } else {
            // A reboot takes less than the time after which its number may be needed.
            let since = self.now + 5 + self.dice.below(40);
            let machine = &mut self.machines[nth];
            (machine.since, machine.asks_at) = (since, since);
        }
    }

    fn login_node_crashes(&mut self) {
        if self.book.take().is_some() {
            self.crashes += 1;
            self.started = self.now + 1 + self.dice.below(30);
        }
    }

    fn login_node_starts(&mut self) -> Result<(), String> {
        let disk = self.disk.as_ref().filter(|_| self.bug != Some(Bug::ForgetsAtCrash));
        let mut book: Assignment =
            disk.map_or_else(|| Ok(Assignment::default()), |disk| serde_json::from_str(disk)).map_err(|e| e.to_string())?;
        book.start();
        self.started = self.now;
        self.book = Some(book);
        // Everybody has their time to be seen.
        for machine in &mut self.machines {
            machine.seen = machine.seen.max(self.now);
        }
        Ok(())
    }

    fn clock(&self) -> Duration {
        Duration::from_secs(self.now - self.started)
    }

    fn rules(&self) -> Rules {
        let early = Rules { away_min: RULES.away_min / 2, ..RULES };
        if self.bug == Some(Bug::TakesEarly) { early } else { RULES }
    }

    /// A machine asks when it starts, and again until it is answered; sometimes once more.
    fn machines_ask(&mut self) {
        for nth in 0..self.machines.len() {
            let machine = &self.machines[nth];
            if machine.alive && machine.asks_at == self.now && machine.since <= self.now {
                self.send(|| Message::Asks(nth));
                self.machines[nth].asks_at = self.now + ASKS_EVERY;
            }
        }
    }

    /// Lost, late, doubled.
    fn send(&mut self, message: impl Fn() -> Message) {
        let copies = match self.dice.below(10) {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = if self.dice.percent(10) { self.dice.below(30) } else { self.dice.below(2) };
            self.count += 1;
            self.network.insert((self.now + late, self.count), message());
        }
    }

    fn asked(&mut self, nth: usize) -> Result<(), String> {
        let (clock, rules) = (self.clock_or_zero(), self.rules());
        let asks = Asks { instance: format!("i-{nth}"), address: [10, 0, 0, 1].into(), group: None };
        let Some(book) = self.book.as_mut() else { return Ok(()) };
        let before = book.holders().clone();
        let decision = book.ask(&asks, NODES_MAX, &rules, clock);
        if let Ok(name) = decision.answer {
            if name.rank() > NODES_MAX {
                return Err(format!("{name} is above the maximum"));
            }
            let holder = before.get(&name).map(|holder| holder.instance.clone()).filter(|holder| *holder != asks.instance);
            self.check_given_away(name, nth, holder.as_deref())?;
        }
        let lost = self.bug == Some(Bug::AnswersBeforeWrite) && self.dice.percent(5);
        if decision.save && !lost {
            self.disk = self.book.as_ref().map(|book| serde_json::to_string(book).unwrap_or_default());
        } else if decision.save && self.dice.percent(10) {
            self.login_node_crashes();
        }
        let answer = decision.answer;
        if lost {
            self.answers(nth, &answer)?;
            self.login_node_crashes();
            return Ok(());
        }
        if self.dice.percent(2) {
            self.login_node_crashes();
            return Ok(());
        }
        self.send(|| Message::Answers(nth, answer.clone()));
        Ok(())
    }

    fn clock_or_zero(&self) -> Duration {
        if self.book.is_some() { self.clock() } else { Duration::ZERO }
    }

    /// A name goes to another machine only where the one that has it was not seen for long enough.
    fn check_given_away(&mut self, name: NodeName, to: usize, holder: Option<&str>) -> Result<(), String> {
        for (nth, machine) in self.machines.iter().enumerate().filter(|(nth, _)| *nth != to) {
            let unseen = self.now - machine.seen.min(self.now);
            if machine.name == Some(name) && machine.alive && unseen < RULES.away_min.as_secs() {
                return Err(format!("{name} of i-{nth}, which was seen {unseen} s ago, was given away to i-{to}"));
            }
        }
        if holder.is_none() || self.machines[to].name != Some(name) {
            self.machines[to].seen = self.now;
        }
        Ok(())
    }

    fn answers(&mut self, nth: usize, answer: &Result<NodeName, Refusal>) -> Result<(), String> {
        let Ok(name) = *answer else { return Ok(()) };
        let machine = &mut self.machines[nth];
        if !machine.alive || machine.since > self.now {
            return Ok(());
        }
        self.answered += 1;
        if let Some(before) = machine.name.filter(|before| *before != name)
            && self.now - machine.seen.min(self.now) < RULES.away_min.as_secs()
        {
            return Err(format!("i-{nth} got two numbers: {before}, then {name}"));
        }
        machine.name = Some(name);
        machine.asks_at = 0;
        Ok(())
    }

    /// The desk looks at the members.
    fn look(&mut self) -> Result<(), String> {
        let (now, ignores) = (self.now, self.bug == Some(Bug::IgnoresMembers));
        let mut members = BTreeMap::new();
        let Some(book) = self.book.as_mut() else { return Ok(()) };
        for (nth, machine) in self.machines.iter_mut().enumerate() {
            let up = machine.alive && machine.since + GOSSIP <= now;
            if let Some(name) = machine.name.filter(|_| up && machine.asks_at == 0) {
                machine.seen = now;
                if !ignores {
                    members.insert(name, Asks { instance: format!("i-{nth}"), address: [10, 0, 0, 1].into(), group: None });
                }
            }
        }
        let clock = Duration::from_secs(now - self.started);
        if book.present(&members, &RULES, clock).save {
            self.disk = Some(serde_json::to_string(book).map_err(|error| error.to_string())?);
        }
        Ok(())
    }
}
