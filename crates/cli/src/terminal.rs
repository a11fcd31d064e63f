//! What goes to the terminal, so that nothing in it can play tricks there: keys and error texts are written by others.

use std::io::Write;

/// A line of output. Whoever reads it may have gone (`| head`): that is no reason to stop half way.
pub fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A text of others on one line, without anything that steers a terminal or hides what is written.
pub fn one_line(text: &str) -> String {
    let mut shown = String::new();
    for (n, part) in text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).enumerate() {
        if n > 0 {
            shown.push(' ');
        }
        shown.push_str(&plain(part));
    }
    shown
}

/// A text with its control characters, and those that turn the direction of writing, spelled out.
pub fn plain(text: &str) -> String {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    text.chars().map(|c| if steers(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        assert_eq!(one_line("a\n\n  b\r\nc"), "a b c");
        assert_eq!(plain("\u{1b}[2Jhome/é x"), "\\u{1b}[2Jhome/é x");
        assert_eq!(plain("a\u{202e}b\u{7}"), "a\\u{202e}b\\u{7}");
    }
}
