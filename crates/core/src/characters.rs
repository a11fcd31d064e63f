//! Characters that word processors, chats and keyboards put where JSON and parameters want plain ones: their Unicode names,
//! and what to write instead. (Names and numbers: the Unicode Character Database, UnicodeData.txt.)

use std::fmt::Write as _;

/// A character that is not what it looks like, or that is not to be seen at all.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookalike {
    /// The character.
    pub is: char,
    /// Its Unicode name, in small letters.
    pub name: String,
    /// What people call its kind.
    pub kind: &'static str,
    /// The plain character to write instead; none where it is to be left out.
    pub instead: Option<char>,
}

const CURLY: &str = "a curly quote";
const QUOTE: &str = "a quote of another language";
const SPACE: &str = "a space that is not the plain one";
const INVISIBLE: &str = "invisible";
const DASH: &str = "a dash that is not the plain minus";
const SIGN: &str = "another sign than it looks like";
const LETTER: &str = "a letter of another alphabet";
const DIGIT: &str = "a digit of another script";
const WIDE: &str = "a full-width character";

/// Character, name, kind, what to write instead (`\0`: nothing).
const TABLE: &[(char, &str, &str, char)] = &[
    ('\u{85}', "next line", INVISIBLE, ' '),
    ('\u{a0}', "no-break space", SPACE, ' '),
    ('\u{ab}', "left-pointing double angle quotation mark", QUOTE, '"'),
    ('\u{ad}', "soft hyphen", INVISIBLE, '\0'),
    ('\u{b4}', "acute accent", CURLY, '"'),
    ('\u{bb}', "right-pointing double angle quotation mark", QUOTE, '"'),
    ('\u{34f}', "combining grapheme joiner", INVISIBLE, '\0'),
    ('\u{60c}', "arabic comma", SIGN, ','),
    ('\u{61c}', "arabic letter mark", INVISIBLE, '\0'),
    ('\u{66b}', "arabic decimal separator", SIGN, '.'),
    ('\u{115f}', "hangul choseong filler", INVISIBLE, '\0'),
    ('\u{1160}', "hangul jungseong filler", INVISIBLE, '\0'),
    ('\u{1680}', "ogham space mark", SPACE, ' '),
    ('\u{180e}', "mongolian vowel separator", INVISIBLE, '\0'),
    ('\u{2000}', "en quad", SPACE, ' '),
    ('\u{2001}', "em quad", SPACE, ' '),
    ('\u{2002}', "en space", SPACE, ' '),
    ('\u{2003}', "em space", SPACE, ' '),
    ('\u{2004}', "three-per-em space", SPACE, ' '),
    ('\u{2005}', "four-per-em space", SPACE, ' '),
    ('\u{2006}', "six-per-em space", SPACE, ' '),
    ('\u{2007}', "figure space", SPACE, ' '),
    ('\u{2008}', "punctuation space", SPACE, ' '),
    ('\u{2009}', "thin space", SPACE, ' '),
    ('\u{200a}', "hair space", SPACE, ' '),
    ('\u{200b}', "zero width space", INVISIBLE, '\0'),
    ('\u{200c}', "zero width non-joiner", INVISIBLE, '\0'),
    ('\u{200d}', "zero width joiner", INVISIBLE, '\0'),
    ('\u{200e}', "left-to-right mark", INVISIBLE, '\0'),
    ('\u{200f}', "right-to-left mark", INVISIBLE, '\0'),
    ('\u{2010}', "hyphen", DASH, '-'),
    ('\u{2011}', "non-breaking hyphen", DASH, '-'),
    ('\u{2012}', "figure dash", DASH, '-'),
    ('\u{2013}', "en dash", DASH, '-'),
    ('\u{2014}', "em dash", DASH, '-'),
    ('\u{2015}', "horizontal bar", DASH, '-'),
    ('\u{2018}', "left single quotation mark", CURLY, '"'),
    ('\u{2019}', "right single quotation mark", CURLY, '"'),
    ('\u{201a}', "single low-9 quotation mark", CURLY, '"'),
    ('\u{201b}', "single high-reversed-9 quotation mark", CURLY, '"'),
    ('\u{201c}', "left double quotation mark", CURLY, '"'),
    ('\u{201d}', "right double quotation mark", CURLY, '"'),
    ('\u{201e}', "double low-9 quotation mark", CURLY, '"'),
    ('\u{201f}', "double high-reversed-9 quotation mark", CURLY, '"'),
    ('\u{2024}', "one dot leader", SIGN, '.'),
    ('\u{2026}', "horizontal ellipsis", SIGN, '\0'),
    ('\u{2028}', "line separator", INVISIBLE, ' '),
    ('\u{2029}', "paragraph separator", INVISIBLE, ' '),
    ('\u{202a}', "left-to-right embedding", INVISIBLE, '\0'),
    ('\u{202b}', "right-to-left embedding", INVISIBLE, '\0'),
    ('\u{202c}', "pop directional formatting", INVISIBLE, '\0'),
    ('\u{202d}', "left-to-right override", INVISIBLE, '\0'),
    ('\u{202e}', "right-to-left override", INVISIBLE, '\0'),
    ('\u{202f}', "narrow no-break space", SPACE, ' '),
    ('\u{2032}', "prime", CURLY, '"'),
    ('\u{2033}', "double prime", CURLY, '"'),
    ('\u{2035}', "reversed prime", CURLY, '"'),
    ('\u{2036}', "reversed double prime", CURLY, '"'),
    ('\u{2039}', "single left-pointing angle quotation mark", QUOTE, '"'),
    ('\u{203a}', "single right-pointing angle quotation mark", QUOTE, '"'),
    ('\u{205f}', "medium mathematical space", SPACE, ' '),
    ('\u{2060}', "word joiner", INVISIBLE, '\0'),
    ('\u{2061}', "function application", INVISIBLE, '\0'),
    ('\u{2062}', "invisible times", INVISIBLE, '\0'),
    ('\u{2063}', "invisible separator", INVISIBLE, '\0'),
    ('\u{2064}', "invisible plus", INVISIBLE, '\0'),
    ('\u{2066}', "left-to-right isolate", INVISIBLE, '\0'),
    ('\u{2067}', "right-to-left isolate", INVISIBLE, '\0'),
    ('\u{2068}', "first strong isolate", INVISIBLE, '\0'),
    ('\u{2069}', "pop directional isolate", INVISIBLE, '\0'),
    ('\u{2212}', "minus sign", DASH, '-'),
    ('\u{2236}', "ratio", SIGN, ':'),
    ('\u{3000}', "ideographic space", SPACE, ' '),
    ('\u{3001}', "ideographic comma", SIGN, ','),
    ('\u{300c}', "left corner bracket", QUOTE, '"'),
    ('\u{300d}', "right corner bracket", QUOTE, '"'),
    ('\u{301d}', "reversed double prime quotation mark", CURLY, '"'),
    ('\u{301e}', "double prime quotation mark", CURLY, '"'),
    ('\u{301f}', "low double prime quotation mark", CURLY, '"'),
    ('\u{3164}', "hangul filler", INVISIBLE, '\0'),
    ('\u{fe50}', "small comma", SIGN, ','),
    ('\u{fe55}', "small colon", SIGN, ':'),
    ('\u{fe58}', "small em dash", DASH, '-'),
    ('\u{fe5b}', "small left curly bracket", SIGN, '{'),
    ('\u{fe5c}', "small right curly bracket", SIGN, '}'),
    ('\u{fe63}', "small hyphen-minus", DASH, '-'),
    ('\u{feff}', "zero width no-break space, a byte order mark", INVISIBLE, '\0'),
    ('\u{ffa0}', "halfwidth hangul filler", INVISIBLE, '\0'),
];

/// Letters that look like Latin ones: character, name, the Latin letter.
const LETTERS: &[(char, &str, char)] = &[
    ('\u{131}', "latin small letter dotless i", 'i'),
    ('\u{391}', "greek capital letter alpha", 'A'),
    ('\u{392}', "greek capital letter beta", 'B'),
    ('\u{395}', "greek capital letter epsilon", 'E'),
    ('\u{397}', "greek capital letter eta", 'H'),
    ('\u{399}', "greek capital letter iota", 'I'),
    ('\u{39a}', "greek capital letter kappa", 'K'),
    ('\u{39c}', "greek capital letter mu", 'M'),
    ('\u{39d}', "greek capital letter nu", 'N'),
    ('\u{39f}', "greek capital letter omicron", 'O'),
    ('\u{3a1}', "greek capital letter rho", 'P'),
    ('\u{3a4}', "greek capital letter tau", 'T'),
    ('\u{3a7}', "greek capital letter chi", 'X'),
    ('\u{3bd}', "greek small letter nu", 'v'),
    ('\u{3bf}', "greek small letter omicron", 'o'),
    ('\u{405}', "cyrillic capital letter dze", 'S'),
    ('\u{406}', "cyrillic capital letter byelorussian-ukrainian i", 'I'),
    ('\u{408}', "cyrillic capital letter je", 'J'),
    ('\u{410}', "cyrillic capital letter a", 'A'),
    ('\u{412}', "cyrillic capital letter ve", 'B'),
    ('\u{415}', "cyrillic capital letter ie", 'E'),
    ('\u{41a}', "cyrillic capital letter ka", 'K'),
    ('\u{41c}', "cyrillic capital letter em", 'M'),
    ('\u{41d}', "cyrillic capital letter en", 'H'),
    ('\u{41e}', "cyrillic capital letter o", 'O'),
    ('\u{420}', "cyrillic capital letter er", 'P'),
    ('\u{421}', "cyrillic capital letter es", 'C'),
    ('\u{422}', "cyrillic capital letter te", 'T'),
    ('\u{425}', "cyrillic capital letter ha", 'X'),
    ('\u{430}', "cyrillic small letter a", 'a'),
    ('\u{435}', "cyrillic small letter ie", 'e'),
    ('\u{43e}', "cyrillic small letter o", 'o'),
    ('\u{440}', "cyrillic small letter er", 'p'),
    ('\u{441}', "cyrillic small letter es", 'c'),
    ('\u{443}', "cyrillic small letter u", 'y'),
    ('\u{445}', "cyrillic small letter ha", 'x'),
    ('\u{455}', "cyrillic small letter dze", 's'),
    ('\u{456}', "cyrillic small letter byelorussian-ukrainian i", 'i'),
    ('\u{458}', "cyrillic small letter je", 'j'),
];

/// Where ten digits of a script begin, and the name of the script.
const DIGITS: &[(u32, &str)] = &[
    (0x660, "arabic-indic"),
    (0x6f0, "extended arabic-indic"),
    (0x966, "devanagari"),
    (0x9e6, "bengali"),
    (0xa66, "gurmukhi"),
    (0xae6, "gujarati"),
    (0xbe6, "tamil"),
    (0xc66, "telugu"),
    (0xce6, "kannada"),
    (0xd66, "malayalam"),
    (0xe50, "thai"),
    (0xed0, "lao"),
    (0xf20, "tibetan"),
    (0x1040, "myanmar"),
    (0x17e0, "khmer"),
    (0xff10, "fullwidth"),
    (0x1d7ce, "mathematical bold"),
    (0x1d7d8, "mathematical double-struck"),
    (0x1d7e2, "mathematical sans-serif"),
    (0x1d7ec, "mathematical sans-serif bold"),
    (0x1d7f6, "mathematical monospace"),
];

const NUMERALS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// The names of `!` to `/`, `:` to `@`, `[` to `` ` `` and `{` to `~`.
const PUNCTUATION: &[(char, &str)] = &[
    ('!', "exclamation mark"),
    ('"', "quotation mark"),
    ('#', "number sign"),
    ('$', "dollar sign"),
    ('%', "percent sign"),
    ('&', "ampersand"),
    ('\'', "apostrophe"),
    ('(', "left parenthesis"),
    (')', "right parenthesis"),
    ('*', "asterisk"),
    ('+', "plus sign"),
    (',', "comma"),
    ('-', "hyphen-minus"),
    ('.', "full stop"),
    ('/', "solidus"),
    (':', "colon"),
    (';', "semicolon"),
    ('<', "less-than sign"),
    ('=', "equals sign"),
    ('>', "greater-than sign"),
    ('?', "question mark"),
    ('@', "commercial at"),
    ('[', "left square bracket"),
    ('\\', "reverse solidus"),
    (']', "right square bracket"),
    ('^', "circumflex accent"),
    ('_', "low line"),
    ('`', "grave accent"),
    ('{', "left curly bracket"),
    ('|', "vertical line"),
    ('}', "right curly bracket"),
    ('~', "tilde"),
];

/// What is known of a character that is not what it looks like; `None` for plain ones, and for letters of which we know nothing.
pub fn lookalike(c: char) -> Option<Lookalike> {
    if c.is_ascii() {
        return None;
    }
    let found = |name: String, kind, instead| Some(Lookalike { is: c, name, kind, instead });
    if let Some((_, name, kind, instead)) = TABLE.iter().find(|row| row.0 == c) {
        return found((*name).to_owned(), kind, Some(*instead).filter(|c| *c != '\0'));
    }
    if let Some((_, name, latin)) = LETTERS.iter().find(|row| row.0 == c) {
        return found((*name).to_owned(), LETTER, Some(*latin));
    }
    if let Some((value, script)) = digit(c) {
        return found(format!("{script} digit {}", NUMERALS[value as usize]), DIGIT, char::from_digit(value, 10));
    }
    match u32::from(c) {
        code @ 0xff01..=0xff5e => {
            let plain = char::from_u32(code - 0xff01 + 0x21)?;
            let what = match PUNCTUATION.iter().find(|row| row.0 == plain) {
                Some((_, name)) => (*name).to_owned(),
                None => format!("latin {} letter {plain}", if plain.is_ascii_uppercase() { "capital" } else { "small" }),
            };
            // As a quote it is to be the plain double one, as any other.
            found(format!("fullwidth {what}"), WIDE, Some(if plain == '\'' { '"' } else { plain }))
        }
        code @ 0xfe00..=0xfe0f => found(format!("variation selector-{}", code - 0xfe00 + 1), INVISIBLE, None),
        code @ 0xe0000..=0xe007f => found(format!("tag character {:02x}", code - 0xe0000), INVISIBLE, None),
        0xe0100..=0xe01ef => found("variation selector".to_owned(), INVISIBLE, None),
        _ => None,
    }
}

/// The digit that a character of any script stands for.
pub fn digit(c: char) -> Option<(u32, &'static str)> {
    DIGITS.iter().find_map(|(zero, script)| u32::from(c).checked_sub(*zero).filter(|n| *n < 10).map(|n| (n, *script)))
}

/// Whether this is a quote of any kind but the plain double one.
pub fn is_odd_quote(c: char) -> bool {
    matches!(c, '\'' | '`') || lookalike(c).is_some_and(|l| l.instead == Some('"'))
}

/// Whether a character is not to be seen, or changes what stands around it: never to be shown as it is.
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || lookalike(c).is_some_and(|l| l.kind == INVISIBLE || (l.kind == SPACE && c != '\u{3000}'))
}

/// A text with each look-alike replaced by what to write instead.
pub fn plain(text: &str) -> String {
    text.chars().filter_map(|c| lookalike(c).map_or(Some(c), |l| l.instead)).collect()
}

impl Lookalike {
    /// Whether it may be meant: a letter of a language that is written with it.
    pub fn is_letter(&self) -> bool {
        self.kind == LETTER
    }

    /// As it is shown to people: `left double quotation mark (U+201C, a curly quote)`.
    pub fn described(&self) -> String {
        format!("{} ({}, {})", self.name, code(self.is), self.kind)
    }

    /// What to do about it.
    pub fn advice(&self) -> String {
        match self.instead {
            Some('"') => "use the plain \"".to_owned(),
            Some(' ') => "use the plain space".to_owned(),
            Some(plain) => format!("use the plain {plain}"),
            None => format!("remove the {}", self.name),
        }
    }
}

/// `U+201C`.
pub fn code(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

/// A line of a user's file, safe to print on a terminal: what cannot be seen is escaped, and only `most` characters are shown,
/// those around the character with the index `around`.
pub fn shown(line: &str, around: usize, most: usize) -> String {
    let from = around.saturating_sub(most * 2 / 3);
    let mut text = if from > 0 { "…".to_owned() } else { String::new() };
    let mut rest = line.chars().skip(from);
    for c in rest.by_ref().take(most) {
        match c {
            '\t' | '\r' => text.push(' '),
            c if is_unprintable(c) => drop(write!(text, "\\u{{{:x}}}", u32::from(c))),
            c => text.push(c),
        }
    }
    if rest.next().is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_name_and_what_to_write_instead() {
        for (c, name, instead) in [
            ('\u{201c}', "left double quotation mark", Some('"')),
            ('\u{a0}', "no-break space", Some(' ')),
            ('\u{200b}', "zero width space", None),
            ('\u{2011}', "non-breaking hyphen", Some('-')),
            ('\u{2014}', "em dash", Some('-')),
            ('\u{feff}', "zero width no-break space, a byte order mark", None),
            ('\u{ad}', "soft hyphen", None),
            ('\u{202e}', "right-to-left override", None),
            ('：', "fullwidth colon", Some(':')),
            ('，', "fullwidth comma", Some(',')),
            ('｛', "fullwidth left curly bracket", Some('{')),
            ('２', "fullwidth digit two", Some('2')),
            ('٢', "arabic-indic digit two", Some('2')),
            ('Ａ', "fullwidth latin capital letter A", Some('A')),
            ('а', "cyrillic small letter a", Some('a')),
            ('\u{fe0f}', "variation selector-16", None),
        ] {
            let found = lookalike(c).unwrap_or_else(|| panic!("{c:?} is not known"));
            assert_eq!((found.name.as_str(), found.instead), (name, instead));
        }
    }

    #[test]
    fn plain_text_has_no_look_alikes_and_replacing_them_leaves_none() {
        assert!((' '..='~').all(|c| lookalike(c).is_none()));
        assert!("éüñßø中文".chars().all(|c| lookalike(c).is_none()));
        for c in ('\0'..=char::MAX).filter(|c| lookalike(*c).is_some()) {
            assert!(plain(&c.to_string()).is_ascii(), "{c:?}");
        }
    }

    #[test]
    fn every_format_character_that_unicode_has_in_its_lower_planes_is_escaped() {
        for c in ["\u{ad}", "\u{61c}", "\u{200b}", "\u{200f}", "\u{202a}", "\u{202e}", "\u{2066}", "\u{2069}", "\u{feff}", "\u{1b}"] {
            let line = shown(&format!("a{c}b"), 0, 80);
            assert!(line.starts_with("a\\u{") && line.ends_with("}b"), "{line}");
        }
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let line = format!("{}X{}", "a".repeat(500), "b".repeat(500));
        let cut = shown(&line, 500, 60);
        assert!(cut.contains('X') && cut.chars().count() == 62, "{cut}");
    }
}
