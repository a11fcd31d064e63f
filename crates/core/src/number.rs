//! Numbers as people write them, and the one form in which they go on.

use std::cmp::Ordering;

use crate::characters;

/// A decimal number in its one form. **The rule**, for JSON numbers and for strings alike:
///
/// - A number is digits, with at most one point, which has digits on both sides.
/// - What plainly is the same number is taken as that number: a sign before it, blanks around it, zeros before it and zeros
///   behind its decimals are dropped. `" 2"`, `"2 "`, `"+2"`, `"02"`, `"2.0"` and `2.0` are `2`, `"-0"` and `"0.0000"` are `0`.
/// - Nothing else is guessed: exponents (`1e0`), other bases (`0x2`), group signs (`1_000`, `1,000`), units (`16 GB`), digits of
///   other scripts and the empty text are refused, with the number that was probably meant in the form that works.
/// - A price has at most four decimals; a number of nodes and a size have none.
///
/// What goes on (to `CloudFormation`, to the ledger, into comparisons) is `Display`: no sign but a minus, no zero too many. So a
/// template may compare texts: `"0"` is the one way to write nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    is_negative: bool,
    /// Without zeros before it; empty where there is no whole part.
    whole: String,
    /// Without zeros behind it.
    decimals: String,
}

/// The most decimals of any number: a hundredth of a cent.
pub const DECIMALS_MAX: usize = 4;

/// The most digits before the point: such numbers are the same to every reader on the way.
pub const DIGITS_MAX: usize = 15;

impl Number {
    /// Reads a number by the rule.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        (digits(whole) && digits(decimals)).then(|| Self::of(is_negative, whole, decimals))
    }

    fn of(is_negative: bool, whole: &str, decimals: &str) -> Self {
        let (whole, decimals) = (whole.trim_start_matches('0').to_owned(), decimals.trim_end_matches('0').to_owned());
        Self { is_negative: is_negative && !(whole.is_empty() && decimals.is_empty()), whole, decimals }
    }

    /// Whether it has no decimals.
    pub fn is_whole(&self) -> bool {
        self.decimals.is_empty()
    }

    /// How many decimals it has.
    pub fn decimals(&self) -> usize {
        self.decimals.len()
    }

    /// The same number with at most so many decimals; what is beyond them is cut, so that no offer gets higher.
    #[must_use]
    pub fn cut(&self, most: usize) -> Self {
        Self::of(self.is_negative, &self.whole, &self.decimals[..self.decimals.len().min(most)])
    }

    /// What was probably meant by a text that the rule refuses. Only ever shown, never taken.
    pub fn meant(text: &str) -> Option<Self> {
        let text = characters::plain(text).to_ascii_lowercase();
        let text = text.trim();
        if let Some((base, digits)) =
            [("0x", 16), ("0b", 2), ("0o", 8)].iter().find_map(|(mark, base)| Some((*base, text.strip_prefix(mark)?)))
        {
            return u64::from_str_radix(digits, base).ok().and_then(|n| Self::read(&n.to_string()));
        }
        if text.contains('e') && text.len() < 40 && text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
            let exponent = text.parse::<f64>().ok().filter(|x| x.is_finite() && x.abs() < 1e15);
            if let Some(number) = exponent.and_then(|x| Self::read(&format!("{x:.4}"))) {
                return Some(number);
            }
        }
        let spelt = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
        if let Some(n) = spelt.iter().position(|word| *word == text) {
            return Self::read(&n.to_string());
        }
        Self::only_one_in(text)
    }

    /// The number in a text that has one and something around it: a unit, a currency, group signs, a decimal comma.
    fn only_one_in(text: &str) -> Option<Self> {
        let is_digit = |c: char| c.is_ascii_digit();
        let (first, last) = (text.find(is_digit)?, text.rfind(is_digit)?);
        let middle = &text[first..=last];
        let before = text[..first].trim_end();
        let point = if before.ends_with('.') { "0." } else { "" };
        let is_negative = before.trim_end_matches('.').ends_with('-');
        let groups: Vec<&str> = middle.split(['_', ' ', '\'', '"', ',']).collect();
        let are_groups = groups.len() > 1 && groups[1..].iter().all(|g| g.split('.').next().is_some_and(|g| g.len() == 3));
        let plain = match groups.as_slice() {
            [_] => middle.to_owned(),
            _ if are_groups => groups.concat(),
            // A decimal comma, as half of the world has it.
            [whole, decimals] if middle.contains(',') => format!("{whole}.{decimals}"),
            _ => return None,
        };
        let number = Self::read(&format!("{point}{plain}"))?;
        Some(Self { is_negative: is_negative && number != Self::of(false, "", ""), ..number })
    }
}

impl From<u32> for Number {
    fn from(n: u32) -> Self {
        Self::of(false, &n.to_string(), "")
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.is_negative { "-" } else { "" };
        let whole = if self.whole.is_empty() { "0" } else { &self.whole };
        let point = if self.decimals.is_empty() { "" } else { "." };
        write!(f, "{sign}{whole}{point}{}", self.decimals)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    /// By value, however many digits it has.
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| (a.whole.len(), &a.whole, &a.decimals).cmp(&(b.whole.len(), &b.whole, &b.decimals));
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(self, other),
            (true, true) => size(other, self),
        }
    }
}

/// Why a number is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutOfRange {
    /// It has decimals, and must have none.
    NotWhole,
    /// It has more than [`DECIMALS_MAX`] decimals.
    TooManyDecimals,
    /// It is less than the least.
    TooSmall,
    /// It is more than the most.
    TooLarge,
    /// It has more than [`DIGITS_MAX`] digits before the point.
    TooManyDigits,
}

/// Which numbers a parameter takes here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Range {
    /// The smallest.
    pub least: Option<Number>,
    /// The largest.
    pub most: Option<Number>,
    /// Whether it takes no decimals.
    pub is_whole: bool,
}

impl Range {
    /// Why a number is not in it.
    pub fn why_not(&self, number: &Number) -> Option<OutOfRange> {
        if self.is_whole && !number.is_whole() {
            Some(OutOfRange::NotWhole)
        } else if number.decimals() > DECIMALS_MAX {
            Some(OutOfRange::TooManyDecimals)
        } else if self.least.as_ref().is_some_and(|least| number < least) {
            Some(OutOfRange::TooSmall)
        } else if self.most.as_ref().is_some_and(|most| number > most) {
            Some(OutOfRange::TooLarge)
        } else if number.whole.len() > DIGITS_MAX {
            Some(OutOfRange::TooManyDigits)
        } else {
            None
        }
    }

    /// The number in it that is nearest to this one; cut to what it takes.
    pub fn nearest(&self, number: &Number) -> Number {
        let number = number.cut(if self.is_whole { 0 } else { DECIMALS_MAX });
        let number = if number.whole.len() > DIGITS_MAX { Number::of(number.is_negative, &"9".repeat(DIGITS_MAX), "") } else { number };
        let number = self.least.clone().map_or(number.clone(), |least| least.max(number));
        self.most.clone().map_or(number.clone(), |most| most.min(number))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        Number::read(text).map(|n| n.to_string())
    }

    fn meant(text: &str) -> Option<String> {
        Number::meant(text).map(|n| n.to_string())
    }

    #[test]
    fn what_plainly_is_a_number_is_taken_as_that_number() {
        for text in ["2", " 2", "2 ", "\t2", "+2", "02", "002", "2.0", "2.000000", " +02.00 "] {
            assert_eq!(read(text).as_deref(), Some("2"), "{text:?}");
        }
        for text in ["0", "-0", "+0", "00", "0.0", "0.0000", "-0.00"] {
            assert_eq!(read(text).as_deref(), Some("0"), "{text:?}");
        }
        assert_eq!(read("00.0300").as_deref(), Some("0.03"));
        assert_eq!(read("-01.50").as_deref(), Some("-1.5"));
        assert_eq!(read("18446744073709551617").as_deref(), Some("18446744073709551617"));
    }

    #[test]
    fn nothing_else_is_guessed_and_what_was_meant_is_shown() {
        for (text, means) in [
            ("1e0", Some("1")),
            ("1E2", Some("100")),
            ("2.5e-1", Some("0.25")),
            ("0x2", Some("2")),
            ("0b101", Some("5")),
            ("1_000", Some("1000")),
            ("1,000", Some("1000")),
            ("1 000", Some("1000")),
            ("1'000", Some("1000")),
            ("1,000,000.5", Some("1000000.5")),
            ("0,03", Some("0.03")),
            ("２", Some("2")),
            ("٢٥", Some("25")),
            ("2.", Some("2")),
            (".5", Some("0.5")),
            ("16 GB", Some("16")),
            ("16GB", Some("16")),
            ("$0.03", Some("0.03")),
            ("0.03 USD", Some("0.03")),
            ("two", Some("2")),
            ("<= 8", Some("8")),
            ("\u{a0}2", Some("2")),
            ("2\u{200b}", Some("2")),
            ("\u{2212}1", Some("-1")),
            ("- 1", Some("-1")),
            ("--1", Some("-1")),
            ("1-4", None),
            ("1.2.3", None),
            ("1/2", None),
            ("", None),
            (" ", None),
            ("many", None),
            ("inf", None),
            ("NaN", None),
        ] {
            assert_eq!(read(text), None, "{text:?}");
            assert_eq!(meant(text).as_deref(), means, "{text:?}");
        }
    }

    #[test]
    fn a_range_tells_what_it_takes_and_the_nearest_to_what_was_given() {
        let number = |text: &str| Number::read(text).unwrap();
        let nodes = Range { least: Some(number("1")), most: Some(number("32")), is_whole: true };
        for (given, why, nearest) in [
            ("0", Some(OutOfRange::TooSmall), "1"),
            ("-7", Some(OutOfRange::TooSmall), "1"),
            ("33", Some(OutOfRange::TooLarge), "32"),
            ("99999999999999999999", Some(OutOfRange::TooLarge), "32"),
            ("2.5", Some(OutOfRange::NotWhole), "2"),
            ("8", None, "8"),
        ] {
            assert_eq!(nodes.why_not(&number(given)), why, "{given}");
            assert_eq!(nodes.nearest(&number(given)).to_string(), nearest, "{given}");
        }
        let price = Range { least: Some(number("0")), most: Some(number("100")), is_whole: false };
        assert_eq!(price.why_not(&number("0.00001")), Some(OutOfRange::TooManyDecimals));
        assert_eq!(price.nearest(&number("1.23456")).to_string(), "1.2345");
    }

    proptest! {
        #[test]
        fn the_one_form_is_read_as_itself_and_keeps_value_and_order(a in -1_000_000i32..1_000_000, b in -1_000_000i32..1_000_000) {
            // In ten-thousandths.
            let spell = |n: i32| format!("{}{:03}.{:04}0", if n < 0 { "-" } else { "+" }, n.abs() / 10_000, n.abs() % 10_000);
            let (x, y) = (Number::read(&spell(a)).unwrap(), Number::read(&spell(b)).unwrap());
            prop_assert_eq!(Number::read(&x.to_string()), Some(x.clone()));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert!((x.to_string().parse::<f64>().unwrap() - f64::from(a) / 10_000.0).abs() < 1e-9);
        }

        #[test]
        fn any_text_is_read_and_guessed_at_without_panic(text in "\\PC{0,40}") {
            let _ = Number::read(&text).map(|n| (n.cut(2), n.to_string()));
            let _ = Number::meant(&text);
        }
    }
}
