//! Words for the shell and for people.

/// A word that a shell takes as it is.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command as people read it: words with anything unusual in them in quotes.
pub(super) fn readable<'a>(command: impl IntoIterator<Item = &'a str>) -> String {
    let is_plain = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-=:,+@%".contains(&b));
    let words = command.into_iter().map(|word| if is_plain(word) { word.to_owned() } else { quoted(word) });
    words.collect::<Vec<_>>().join(" ")
}
