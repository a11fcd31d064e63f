//! Chance out of one seed. Each question has its own key, so that leaving one thing out of a run does not change the fall
//! of the dice for all the others: that is what lets a failing run be shrunk.

/// The finaliser of splitmix64: every bit of the input reaches every bit of the output.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The key of a thing that belongs to another, as the third call of a pass belongs to the pass.
pub const fn under(key: u64, part: u64) -> u64 {
    mix(key ^ mix(part.wrapping_add(0x9E37_79B9_7F4A_7C15)))
}

/// The key of a text.
pub fn named(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// A seed's answers, by key.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(0x9E37_79B9_7F4A_7C15)))
    }

    /// A number for a key, always the same.
    pub const fn roll(self, key: u64) -> u64 {
        under(self.0, key)
    }

    /// A number below `most` for a key.
    pub const fn below(self, key: u64, most: u64) -> u64 {
        self.roll(key) % most
    }
}

/// Draws in a row, for what is written down once at the start of a run.
#[derive(Debug, Clone)]
pub struct Draws {
    dice: Dice,
    drawn: u64,
}

impl Draws {
    /// The draws of a seed for one purpose. Purposes of equal length draw alike.
    pub const fn new(seed: u64, purpose: &str) -> Self {
        Self { dice: Dice::new(seed ^ ((purpose.len() as u64) << 56)), drawn: 0 }
    }

    /// A number below `most`.
    pub fn below(&mut self, most: u64) -> u64 {
        self.drawn += 1;
        self.dice.below(self.drawn, most)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Whether it happens, `times` out of a hundred.
    pub fn happens(&mut self, times: u64) -> bool {
        self.below(100) < times
    }

    /// An index into something of this length.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.index(of.len())]
    }
}
