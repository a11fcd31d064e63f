//! Words of others, made fit to be read: one line, no control characters, no terminal's orders, bounded. What AWS says of a
//! failure may hold the output of scripts, thousands of characters long (cloudformation-coverage-roadmap#1601).

use std::sync::LazyLock;

use regex_lite::Regex;

/// So many characters of a reason are shown to a user.
pub const SHOWN_MAX: usize = 800;

/// So many are sent to the administrator: an encoded authorization message has up to 10,240 (STS API reference,
/// `DecodeAuthorizationMessage`).
pub const SENT_MAX: usize = 12_000;

/// A terminal's orders (ECMA-48): CSI with its parameters, OSC with its text, and those of two characters.
static ORDERS: LazyLock<Regex> = LazyLock::new(|| {
    let all = "(?:\x1b\\[|\u{9b})[0-?]*[ -/]*[@-~]|(?:\x1b\\]|\u{9d})[^\x07\x1b\u{9c}]{0,200}(?:\x07|\x1b\\\\|\u{9c})|\x1b[ -/]*[0-~]";
    Regex::new(all).expect("the pattern is tested")
});

/// Characters that turn or hide what stands beside them: marks of direction, zero-width ones, a byte order mark.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}')
}

/// The text on one line, of at most `most` characters: of a longer one the beginning and the end, for AWS's codes stand there.
pub fn plain(text: &str, most: usize) -> String {
    let without = ORDERS.replace_all(text, "");
    let spaced: String = without.chars().filter(|c| !is_invisible(*c)).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(line.trim_end_matches(['.', ' ']), most)
}

fn cut(line: &str, most: usize) -> String {
    let count = line.chars().count();
    if count <= most {
        return line.to_owned();
    }
    let tail = most / 4;
    let head: String = line.chars().take(most - tail - 1).collect();
    let rest: String = line.chars().skip(count - tail).collect();
    format!("{head}…{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_to_a_terminal_go_and_the_words_stay() {
        for (text, shown) in [
            ("\x1b[31mE: Unable\x1b[0m\r\nto locate", "E: Unable to locate"),
            ("\x1b[38;5;196mred\x1b[m.", "red"),
            ("\x1b]0;a title\x07text", "text"),
            ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\u{9b}1mbold\u{9b}0m", "bold"),
            ("\x1b(Bplain\x1bM", "plain"),
            ("left \u{202e}right\u{202c} zero\u{200b}width", "left right zerowidth"),
            ("bell\x07tab\tnull\0", "bell tab null"),
            ("lonely \x1b", "lonely"),
            ("the end . .", "the end"),
            ("", ""),
        ] {
            assert_eq!(plain(text, 100), shown, "{text:?}");
        }
    }

    #[test]
    fn what_is_cut_keeps_its_beginning_and_its_end() {
        let text = format!("The beginning {} (HandlerErrorCode: InvalidRequest)", "ü".repeat(5_000));
        let cut = plain(&text, 200);
        assert_eq!(cut.chars().count(), 200);
        assert!(cut.starts_with("The beginning") && cut.contains('…') && cut.ends_with("InvalidRequest)"), "{cut}");
        assert_eq!(plain("short", 5), "short");
    }
}
