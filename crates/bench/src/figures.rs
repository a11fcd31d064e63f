//! Medians, and what is said with them.

use serde::Serialize;

/// Many measurements of one thing.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// The one in the middle.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

/// The spread of some numbers; `None` of none.
pub fn spread(numbers: &[f64]) -> Option<Spread> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = match sorted.len() {
        0 => return None,
        n if n % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        _ => sorted[middle],
    };
    Some(Spread { median, min: sorted[0], max: sorted[sorted.len() - 1] })
}

/// The spread of the ratios of what was measured in the same turn: what slows a machine down slows both.
pub fn paired(above: &[f64], below: &[f64]) -> Option<Spread> {
    let ratios: Vec<f64> = above.iter().zip(below).filter(|(_, below)| **below > 0.0).map(|(above, below)| above / below).collect();
    spread(&ratios)
}

/// A number as wide as it needs to be.
pub fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]).map(|s| (s.min, s.median, s.max)), Some((1.0, 2.0, 3.0)));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).map(|s| s.median), Some(2.5));
        assert!(spread(&[]).is_none());
    }

    #[test]
    fn ratios_are_taken_turn_by_turn() {
        // The machine is twice as slow in the second turn: the ratio is the same.
        assert_eq!(paired(&[10.0, 20.0], &[1.0, 2.0]).map(|s| (s.min, s.max)), Some((10.0, 10.0)));
    }
}
