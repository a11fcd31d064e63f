//! A window over the numbers of a sender's datagrams: each number is accepted once, in any order that a network makes.

/// How many numbers below the newest are still told apart. A sender numbers all that it sends to anyone; some hundred datagrams a
/// second at most, so this allows for seconds of delay.
pub const WIDTH: u64 = 1_024;
const WORDS: usize = 16;

/// The window. It accepts any first number.
#[derive(Debug, Clone, Default)]
pub struct Window {
    newest: u64,
    seen: [u64; WORDS],
    began: bool,
}

impl Window {
    /// Whether the number is new, as far as this window can tell.
    pub fn accepts(&self, number: u64) -> bool {
        #[cfg(test)]
        if super::simulation::planted::is(super::simulation::planted::Bug::ReplayAccepted) {
            return true;
        }
        if !self.began || number > self.newest {
            return true;
        }
        self.newest - number < WIDTH && !self.is_seen(number)
    }

    /// Records a number; `false` where it is not accepted.
    pub fn record(&mut self, number: u64) -> bool {
        if !self.accepts(number) {
            return false;
        }
        if !self.began || number.saturating_sub(self.newest) >= WIDTH {
            self.seen = [0; WORDS];
            (self.began, self.newest) = (true, number);
        }
        while self.newest < number {
            self.newest += 1;
            let (word, bit) = place(self.newest);
            self.seen[word] &= !bit;
        }
        let (word, bit) = place(number);
        self.seen[word] |= bit;
        true
    }

    fn is_seen(&self, number: u64) -> bool {
        let (word, bit) = place(number);
        self.seen[word] & bit != 0
    }
}

/// Where a number's bit lies: the window is a ring.
fn place(number: u64) -> (usize, u64) {
    // Below 1,024, so that it fits any usize.
    let at = usize::try_from(number % WIDTH).unwrap_or(0);
    (at / 64, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_edge_of_the_window_is_where_it_says() {
        let mut window = Window::default();
        assert!(window.record(5_000));
        assert!(window.record(5_000 - WIDTH + 1) && !window.record(5_000 - WIDTH + 1));
        assert!(!window.record(5_000 - WIDTH), "too old to tell");
        assert!(window.record(u64::MAX) && !window.record(u64::MAX) && window.record(u64::MAX - 1));
        assert!(Window::default().record(0));
    }

    proptest! {
        #[test]
        fn no_number_is_accepted_twice_and_a_recent_one_always_once(numbers in prop::collection::vec(0u64..3_000, 1..400)) {
            let (mut window, mut seen) = (Window::default(), BTreeSet::new());
            for number in numbers {
                let recent = seen.last().is_none_or(|newest: &u64| number > *newest || newest - number < WIDTH);
                let fresh = seen.insert(number);
                prop_assert_eq!(window.record(number), fresh && recent);
                if !recent { seen.remove(&number); }
            }
        }
    }
}
