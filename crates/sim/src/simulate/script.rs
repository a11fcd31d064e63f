//! What people do in one run, written down before it begins: users drop, replace, double and withdraw files, honest ones
//! and hostile ones; an administrator works by hand.

use super::dice::Draws;

/// What one of the people does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A user drops a file.
    Drop {
        /// Where.
        key: String,
        /// What is in it.
        body: Content,
    },
    /// A user removes a file, be it their own or one of our answers.
    Remove {
        /// Where.
        key: String,
    },
    /// The administrator removes a stack by hand.
    RemoveStack,
    /// The administrator updates a stack by hand.
    ChangeStack,
    /// The administrator protects a stack from being deleted.
    ProtectStack,
    /// The administrator takes that back.
    UnprotectStack,
    /// The administrator mends what kept a stack from being deleted; the next attempt succeeds.
    MendStack,
    /// Somebody's stack takes the name that a user's cluster needs.
    TakeName {
        /// Whose.
        user: &'static str,
        /// Which cluster.
        cluster: &'static str,
    },
    /// A user's profile comes or goes.
    ToggleProfile {
        /// Whose.
        user: &'static str,
    },
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// `{}`
    Plain,
    /// A legal choice.
    EightNodes,
    /// Another legal choice.
    Spelt,
    /// Nothing: deletes are not read.
    Empty,
    /// One of the things that are no request.
    Broken(usize),
    /// Larger than any request may be.
    Huge,
}

const BROKEN: [&[u8]; 8] = [
    b"no order",
    b"[]",
    b"\xFF\xFE{\0}\0",
    br#"{"ComputeMaxNodes": "9999"}"#,
    br#"{"AccessUsername": "root"}"#,
    br#"{"ComputeMaxNodes": "8", "ComputeMaxNodes": "4"}"#,
    br#"{"ComputeInstanceTypeOther": "{{resolve:ssm:/secret}}"}"#,
    br#"{"ComputeInitialNodes": "9", "ComputeMaxNodes": "2"}"#,
];

impl Content {
    /// The bytes.
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::Plain => b"{}".to_vec(),
            Self::EightNodes => br#"{"ComputeMaxNodes": "8"}"#.to_vec(),
            Self::Spelt => br#"{"ComputeSpotPrice": "0"}"#.to_vec(),
            Self::Empty => Vec::new(),
            Self::Broken(nth) => BROKEN[nth % BROKEN.len()].to_vec(),
            Self::Huge => vec![b' '; 70_000],
        }
    }

    /// Whether it is a request that can come true. The reference: independent of the code that judges it.
    pub const fn is_valid_request(self) -> bool {
        matches!(self, Self::Plain | Self::EightNodes | Self::Spelt)
    }
}

/// The people of a run. Two of them have slugs that are equal, so that only the hash keeps their stacks apart.
pub const USERS: [&str; 3] = ["alice", "bob.x", "bob-x"];
/// Their clusters.
pub const CLUSTERS: [&str; 2] = ["demo", "x"];
const FOLDERS: [&str; 3] = ["", "old runs/", "a/b/"];
/// Keys that mean to be requests and are none, and some that mean to be somebody else's.
const ODD: [&str; 6] =
    ["../alice/demo.cf-create", "x+y.cf-create", "a%2Fb.cf-delete", "//demo.cf-create", "no_name.cf-create", ".cf-delete"];

/// One line of the script: after how many milliseconds, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Milliseconds since the start of the run.
    pub at: i64,
    /// What is done.
    pub step: Step,
}

/// What is settled about a run before it begins.
#[derive(Debug, Clone)]
pub struct Script {
    /// What people do, in order of time.
    pub lines: Vec<Line>,
    /// Whether the user bucket is versioned.
    pub is_versioned: bool,
    /// How many users take part.
    pub users: usize,
}

impl Script {
    /// The script of a seed.
    pub fn write(seed: u64) -> Self {
        let mut draws = Draws::new(seed, "script");
        let users = usize::try_from(draws.between(1, USERS.len() as u64)).unwrap_or(1);
        let (clusters, folders) = (draws.between(1, 2), draws.between(1, 3));
        let count = draws.between(3, 12);
        let tempo = draws.below(4);
        let mut author = Author { draws, users, clusters, folders, at: 1000, lines: Vec::new() };
        for _ in 0..count {
            author.at += i64::try_from(author.pause(tempo)).unwrap_or(0);
            author.scene();
        }
        let is_versioned = author.draws.happens(50);
        author.lines.sort_by_key(|line| line.at);
        let touched = touch(&author.lines, &mut Draws::new(seed, "touch"));
        author.lines.extend(touched);
        Self { lines: author.lines, is_versioned, users }
    }
}

/// Out of a hundred files so many are touched.
const TOUCHED: u64 = 4;

/// A program that keeps folders in step puts some files again and again, with the same bytes. Behind all other lines, whatever
/// its time: a line's number tells its dice apart.
fn touch(lines: &[Line], draws: &mut Draws) -> Vec<Line> {
    let mut touched = Vec::new();
    for line in lines.iter().filter(|line| matches!(line.step, Step::Drop { .. })) {
        if draws.happens(TOUCHED) {
            let (times, every) = (draws.between(2, 20), draws.between(300, 3_000));
            let at = |nth: u64| line.at + i64::try_from(nth * every).unwrap_or(0);
            touched.extend((1..=times).map(|nth| Line { at: at(nth), step: line.step.clone() }));
        }
    }
    touched
}

struct Author {
    draws: Draws,
    users: usize,
    clusters: u64,
    folders: u64,
    at: i64,
    lines: Vec<Line>,
}

impl Author {
    fn pause(&mut self, tempo: u64) -> u64 {
        match (tempo, self.draws.below(4)) {
            (0, _) | (1, 0) => self.draws.below(3_000),
            (1, _) | (2, 0..=1) => self.draws.below(60_000),
            (2, _) | (3, 0..=2) => self.draws.below(400_000),
            _ => self.draws.below(1_500_000),
        }
    }

    fn user(&mut self) -> &'static str {
        let nth = self.draws.below(self.users as u64);
        USERS[usize::try_from(nth).unwrap_or(0)]
    }

    fn cluster(&mut self) -> &'static str {
        let nth = self.draws.below(self.clusters);
        CLUSTERS[usize::try_from(nth).unwrap_or(0)]
    }

    fn stem(&mut self) -> String {
        let nth = self.draws.below(self.folders);
        format!("home/{}/{}{}", self.user(), FOLDERS[usize::try_from(nth).unwrap_or(0)], self.cluster())
    }

    fn write(&mut self, step: Step) {
        self.lines.push(Line { at: self.at, step });
    }

    fn content(&mut self) -> Content {
        match self.draws.below(20) {
            0..=9 => Content::Plain,
            10..=12 => Content::EightNodes,
            13..=14 => Content::Spelt,
            15 => Content::Huge,
            _ => Content::Broken(usize::try_from(self.draws.below(BROKEN.len() as u64)).unwrap_or(0)),
        }
    }

    /// One thing that happens, with what belongs to it.
    fn scene(&mut self) {
        match self.draws.below(100) {
            0..=35 => self.create(),
            36..=42 => self.change_of_mind(),
            43..=61 => self.delete(),
            62..=66 => self.odd(),
            67..=72 => self.remove_something(),
            73..=77 => self.write(Step::RemoveStack),
            78..=82 => self.write(Step::ChangeStack),
            83..=86 => self.write(Step::ProtectStack),
            87..=88 => self.write(Step::UnprotectStack),
            89..=91 => self.write(Step::MendStack),
            92..=93 => {
                let (user, cluster) = (self.user(), self.cluster());
                self.write(Step::TakeName { user, cluster });
            }
            94..=96 => {
                let user = self.user();
                self.write(Step::ToggleProfile { user });
            }
            97 => self.crowd(),
            _ => self.everything_at_once(),
        }
    }

    /// A create; sometimes again, sometimes replaced, sometimes withdrawn while it is on its way.
    fn create(&mut self) {
        let key = format!("{}.cf-create", self.stem());
        let body = self.content();
        self.write(Step::Drop { key: key.clone(), body });
        let then = self.draws.below(12);
        let most = *self.draws.pick(&[400, 2_500, 20_000]);
        let wait = i64::try_from(self.draws.below(most)).unwrap_or(0);
        let begun = self.at;
        self.at += wait;
        match then {
            0 => self.write(Step::Drop { key, body }),
            1 | 2 => {
                let body = self.content();
                self.write(Step::Drop { key, body });
            }
            3 => self.write(Step::Remove { key }),
            _ => self.at = begun,
        }
    }

    /// A create, and a delete before anything of it can be seen; perhaps another create at once.
    fn change_of_mind(&mut self) {
        let stem = self.stem();
        self.write(Step::Drop { key: format!("{stem}.cf-create"), body: Content::Plain });
        let most = *self.draws.pick(&[3_000, 20_000, 120_000]);
        self.at += i64::try_from(self.draws.below(most)).unwrap_or(0);
        self.write(Step::Drop { key: format!("{stem}.cf-delete"), body: Content::Empty });
        if self.draws.happens(40) {
            self.at += i64::try_from(self.draws.below(most)).unwrap_or(0);
            let body = self.content();
            self.write(Step::Drop { key: format!("{stem}.cf-create"), body });
        }
    }

    fn delete(&mut self) {
        let key = format!("{}.cf-delete", self.stem());
        // Its content is never read.
        let body = if self.draws.happens(80) { Content::Empty } else { self.content() };
        self.write(Step::Drop { key: key.clone(), body });
        if self.draws.happens(10) {
            self.at += i64::try_from(self.draws.below(20_000)).unwrap_or(0);
            self.write(Step::Remove { key });
        }
    }

    fn odd(&mut self) {
        let key = format!("home/{}/{}", self.user(), self.draws.pick(&ODD));
        let body = self.content();
        self.write(Step::Drop { key, body });
    }

    fn remove_something(&mut self) {
        const SUFFIXES: [&str; 6] = [".cf-create", ".cf-delete", ".cf-created", ".cf-failed", ".cf-deleted", ".cf-status"];
        let key = format!("{}{}", self.stem(), self.draws.pick(&SUFFIXES));
        self.write(Step::Remove { key });
    }

    /// More folders than one cluster may have files waiting in.
    fn crowd(&mut self) {
        let (user, cluster) = (self.user(), self.cluster());
        let suffix = if self.draws.happens(70) { "cf-create" } else { "cf-delete" };
        for nth in 0..18 {
            self.write(Step::Drop { key: format!("home/{user}/crowd {nth}/{cluster}.{suffix}"), body: Content::Plain });
        }
    }

    /// A create and a delete in the same second, in one folder or in two.
    fn everything_at_once(&mut self) {
        let (one, two) = (self.stem(), self.stem());
        self.write(Step::Drop { key: format!("{one}.cf-create"), body: Content::Plain });
        self.write(Step::Drop { key: format!("{two}.cf-delete"), body: Content::Empty });
    }
}
