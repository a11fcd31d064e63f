//! How a law is driven, and what hostile text is made of.

use std::collections::BTreeMap;
use std::panic::{RefUnwindSafe, catch_unwind, resume_unwind};

use arbitrary::Unstructured;

/// Made-up inputs of one target; of a slow one fewer.
const INPUTS: u64 = 5_000;

/// The longest made-up input in bytes. Laws make more of less: a byte may stand for a thousand.
const LENGTH_MAX: usize = 512;

/// A test that drives a law: first with what fuzzing has found (under a fuzzer, with what it thinks of), then with made-up bytes.
/// A law gives each input a name; `reached` are those that have to occur, or the law was hardly put to the test. `one in n`: of a
/// slow law, so many fewer inputs.
macro_rules! target {
    ($(#[doc = $what:literal])* $name:ident, one in $fewer:literal, reached $reached:expr, $law:expr) => {
        $(#[doc = $what])*
        #[test]
        fn $name() {
            let law: fn(&[u8]) -> &'static str = $law;
            // No inputs of bolero's own: they are other ones in each run.
            bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
                law(bytes);
            });
            $crate::drive::made_up(law, $fewer, &$reached);
        }
    };
}
pub(crate) use target;

/// The same bytes in each run. A failing input is shown, so that it can be put into `__fuzz__/<target>/crashes`.
pub fn made_up(law: impl Fn(&[u8]) -> &'static str + RefUnwindSafe, fewer: u64, expected: &[&str]) {
    let asked = std::env::var("INPUTS").ok().and_then(|n| n.parse::<u64>().ok());
    let wanted = asked.unwrap_or(INPUTS).div_ceil(fewer);
    let mut reached: BTreeMap<&str, u64> = BTreeMap::new();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        // xorshift64*; the upper half of the product is the better one.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let [a, b, c, d, ..] = state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes();
        [a, b, c, d]
    };
    for nth in 0..wanted {
        let [high, low, ..] = next();
        let length = usize::from(u16::from_be_bytes([high, low])) % LENGTH_MAX;
        let bytes: Vec<u8> = std::iter::repeat_with(&mut next).flatten().take(length).collect();
        match catch_unwind(|| law(&bytes)) {
            Ok(what) => *reached.entry(what).or_default() += 1,
            Err(panic) => {
                println!("made-up input {nth}: {bytes:?}");
                resume_unwind(panic);
            }
        }
    }
    println!("{wanted} made-up inputs: {reached:?}");
    for what in expected {
        assert!(reached.contains_key(what), "{what:?} was not reached in {wanted} inputs: {reached:?}");
    }
}

/// One of several; the first when the bytes are used up.
pub fn pick<T: Clone>(u: &mut Unstructured<'_>, of: &[T]) -> T {
    u.choose(of).ok().or(of.first()).cloned().expect("there is something to choose from")
}

/// Changes some bytes of a JSON text: cuts it, or puts in or replaces a character that JSON knows, or none that it does.
pub fn spoil(u: &mut Unstructured<'_>, text: &mut Vec<u8>) {
    const BYTES: &[u8] = b"\"{}[],:0a\\\xFF-.";
    for _ in 0..upto(u, 3) {
        if text.is_empty() {
            return;
        }
        let at = upto(u, text.len() - 1);
        match upto(u, 2) {
            0 => text.truncate(at),
            1 => text.insert(at, pick(u, BYTES)),
            _ => text[at] = pick(u, BYTES),
        }
    }
}

/// A number from 0 to `most`.
pub fn upto(u: &mut Unstructured<'_>, most: usize) -> usize {
    u.int_in_range(0..=most).unwrap_or(0)
}

/// Mostly `usual`; one time in eight something else.
pub fn mostly<'a>(u: &mut Unstructured<'_>, usual: &'a str, odd: &[&'a str]) -> &'a str {
    if upto(u, 7) == 0 { pick(u, odd) } else { usual }
}

/// A short text: a piece that has misled somebody's reader before, a few of them, or anything.
pub fn text(u: &mut Unstructured<'_>) -> String {
    match upto(u, 5) {
        0 | 1 => pick(u, &PIECES).to_owned(),
        2 | 3 => (0..=upto(u, 3)).map(|_| pick(u, &PIECES)).collect(),
        4 => u.arbitrary::<String>().unwrap_or_default(),
        _ => pick(u, &["x", "é", "\u{202e}", "/"]).repeat(upto(u, 1200)),
    }
}

/// Pieces of names, paths and encodings.
pub const PIECES: [&str; 44] = [
    "alice",
    "bob",
    "demo",
    "home",
    "home/",
    "/",
    "",
    ".",
    "..",
    "...",
    "-",
    "a-b",
    "a.b",
    "a_b",
    "A",
    "0day",
    "alice@site.example",
    "=",
    "*",
    "?",
    "${aws:username}",
    "%",
    "%2e",
    "%2E%2E%2F",
    "%00",
    "%252e",
    "+",
    " ",
    "\t",
    "\n",
    "\r\n",
    "\0",
    "\\",
    "\u{7f}",
    "\u{85}",
    "\u{feff}",
    "\u{202e}",
    "\u{2215}",
    "аlice",
    "ａlice",
    "e\u{301}",
    ".cf-create",
    ".cf-delete",
    ".cf-created",
];
