//! What the bytes of an upload are, where they are no text in UTF-8: compressed, encrypted, a document, another encoding. They
//! are named by their first bytes and never unpacked: what is unpacked may be a thousand times as large.

use super::place;
use crate::message::{FileProblem, Format};

/// First bytes, and what begins so (the formats' own documents; Wikipedia's "List of file signatures" has most of them).
const SIGNATURES: &[(&[u8], Format)] = &[
    (b"\x1F\x8B", Format::Gzip),
    (b"BZh", Format::Bzip2),
    (b"\xFD7zXZ\0", Format::Xz),
    (b"\x28\xB5\x2F\xFD", Format::Zstandard),
    (b"\x04\x22\x4D\x18", Format::Lz4),
    (b"7z\xBC\xAF\x27\x1C", Format::SevenZip),
    (b"Rar!\x1A\x07", Format::Rar),
    (b"LZIP", Format::Lzip),
    (b"\x1F\x9D", Format::Compress),
    (b"\x5D\0\0", Format::Lzma),
    (b"MSCF", Format::Cabinet),
    (b"%PDF-", Format::Pdf),
    (b"{\\rtf", Format::RichText),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Format::OldOffice),
    (b"\x89PNG", Format::Png),
    (b"\xFF\xD8\xFF", Format::Jpeg),
    (b"GIF8", Format::Gif),
    (b"RIFF", Format::Riff),
    (b"II*\0", Format::Tiff),
    (b"MM\0*", Format::Tiff),
    (b"bplist00", Format::PropertyList),
    (b"\0\x05\x16\x07", Format::AppleDouble),
    (b"\x7FELF", Format::Program),
    (b"MZ\x90\0", Format::Program),
    (b"SQLite format 3\0", Format::Sqlite),
    (b"-----BEGIN PGP", Format::ArmoredPgp),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", Format::Age),
    (b"age-encryption.org/", Format::Age),
    (b"Salted__", Format::OpenSsl),
    (b"U2FsdGVkX1", Format::OpenSsl),
    (b"$ANSIBLE_VAULT", Format::AnsibleVault),
    (b"\0GITCRYPT\0", Format::GitCrypt),
    (b"-----BEGIN ", Format::Pem),
    (b"\x80\x04\x95", Format::Pickle),
];

/// First words of text that is no JSON, in small letters; what is before them is only space.
const MARKUP: &[(&[u8], Format)] =
    &[(b"<!doctype html", Format::WebPage), (b"<html", Format::WebPage), (b"<?xml", Format::Xml), (b"<error>", Format::S3Error)];

/// Marks of a zip file's first kilobyte: office documents are zip files.
const ZIPPED: &[(&[u8], Format)] = &[
    (b"word/", Format::Word),
    (b"xl/", Format::Excel),
    (b"ppt/", Format::PowerPoint),
    (b"vnd.oasis.opendocument", Format::OpenDocument),
    (b"[Content_Types].xml", Format::Office),
    (b"index/", Format::AppleDocument),
];

/// What the bytes are by their signature, where that is not plain text.
pub fn named(bytes: &[u8]) -> Option<FileProblem> {
    let start = &bytes[..bytes.len().min(1024)];
    let text = start.trim_ascii_start();
    let lower = text[..text.len().min(32)].to_ascii_lowercase();
    let begins = |(signature, what): &(&[u8], Format)| start.starts_with(signature).then_some(*what);
    let what = zipped(start)
        .or_else(|| SIGNATURES.iter().find_map(begins))
        .or_else(|| MARKUP.iter().find_map(|(word, what)| lower.starts_with(word).then_some(*what)))
        .or_else(|| text.starts_with(b"{\\rtf").then_some(Format::RichText))
        .or_else(|| is_pgp(start).then_some(Format::Pgp))
        .or_else(|| bytes.get(257..262).filter(|mark| *mark == b"ustar").map(|_| Format::Tar))
        .or_else(|| is_base64_of_json(text).then_some(Format::JsonInBase64))?;
    Some(FileProblem::Format(what))
}

fn zipped(start: &[u8]) -> Option<Format> {
    if ![&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK\x07\x08"].iter().any(|mark| start.starts_with(mark)) {
        return None;
    }
    let holds = |mark: &[u8]| start.windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark));
    Some(ZIPPED.iter().find_map(|(mark, what)| holds(mark).then_some(*what)).unwrap_or(Format::Zip))
}

/// A binary OpenPGP message begins with a session key packet of version 3 (RFC 4880, 5.1) or, under a passphrase, 4 (5.3).
fn is_pgp(start: &[u8]) -> bool {
    matches!(start, [0x84 | 0xC1, _, 3, ..] | [0x85, _, _, 3, ..] | [0x8C | 0xC3, _, 4, ..])
}

fn is_base64_of_json(text: &[u8]) -> bool {
    // The base64 of `{"`, `{}`, and of `{` with a space or a line break after it.
    let begins = [&b"eyI"[..], b"eyJ", b"e30", b"eyA", b"ewo", b"ew0"].iter().any(|mark| text.starts_with(mark));
    begins && text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\r' | b'\n'))
}

/// The encoding of bytes that hold text in sixteen or 32 bits a character, with a mark or without.
pub fn wide(bytes: &[u8]) -> Option<FileProblem> {
    let is_32 = matches!(bytes, [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..]);
    let is_16 = bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") || has_every_other_byte_zero(bytes);
    if is_32 && bytes.len() > 3 && bytes.len().is_multiple_of(4) {
        return Some(FileProblem::Utf32);
    }
    is_16.then_some(FileProblem::Utf16)
}

/// As UTF-16 has plain text without a mark before it.
fn has_every_other_byte_zero(bytes: &[u8]) -> bool {
    let pairs = bytes[..bytes.len().min(64)].chunks_exact(2);
    let all = pairs.len();
    let zeros = |nth: usize| pairs.clone().filter(|pair| pair[nth] == 0 && pair[1 - nth] != 0).count();
    // A character beyond Latin-1 among them has no zero.
    all > 0 && (zeros(0) * 4 > all * 3 || zeros(1) * 4 > all * 3)
}

/// Bytes 0x80 to 0x9F in Windows-1252 (Unicode's own table, CP1252.TXT); `\0` where there is none.
const WINDOWS: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’', '“', '”', '•', '–', '—', '˜', '™',
    'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

/// A byte as Windows-1252 has it, of which Latin-1 is a part.
fn windows(byte: u8) -> Option<char> {
    match byte {
        0x80..=0x9F => Some(WINDOWS[usize::from(byte - 0x80)]).filter(|c| *c != '\0'),
        _ => Some(char::from(byte)),
    }
}

/// Bytes that are not UTF-8: either text of an older encoding, which is returned as such, or no text at all.
pub fn not_utf8(bytes: &[u8], valid: usize) -> (FileProblem, Option<String>) {
    if let Some(problem) = not_text(bytes) {
        return (problem, None);
    }
    let byte = bytes[valid];
    // All before it is valid, so this loses nothing.
    let (line, column) = place(&String::from_utf8_lossy(&bytes[..valid]), valid);
    let decoded: Option<String> = bytes.iter().map(|b| windows(*b)).collect();
    let is_mostly_plain = bytes.iter().filter(|b| b.is_ascii()).count() * 2 > bytes.len();
    match (decoded.filter(|_| is_mostly_plain), windows(byte)) {
        (Some(text), Some(character)) => (FileProblem::Windows1252 { byte, line, column, character }, Some(text)),
        _ => (FileProblem::NotUtf8 { byte, line, column }, None),
    }
}

/// Control characters make no text. Brotli and many ciphers have no signature: this is what they are known by.
pub fn not_text(bytes: &[u8]) -> Option<FileProblem> {
    let control = |b: &u8| (*b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0B | 0x0C | 0x1B)) || *b == 0x7F;
    // Where it is text for the rest, one control character is a mistake on a line, and is reported as such.
    let controls = bytes.iter().filter(|b| control(b)).count();
    let is_invalid = std::str::from_utf8(bytes).is_err();
    let first = bytes.iter().position(|b| control(b) || (is_invalid && *b == 0x0B))?;
    (is_invalid || controls * 8 > bytes.len()).then(|| FileProblem::NoText { at: first + 1, byte: bytes[first] })
}

#[cfg(test)]
mod tests {
    use super::super::mistake::Mistake;
    use super::super::{Body, read};
    use crate::message::{FileProblem, Format, Problem};

    fn problems(bytes: &[u8]) -> Vec<FileProblem> {
        let of_file = |problem| match problem {
            Problem::File(problem) => problem,
            other => panic!("{other:?}"),
        };
        read(&Body::Read(bytes.to_vec())).unwrap_err().into_iter().map(of_file).collect()
    }

    #[test]
    fn what_is_in_another_format_is_called_by_its_name() {
        for (bytes, format) in [
            (&b"\x1F\x8B\x08\0\0\0\0\0\0\x03\xAB\xAE\x05\0\x43"[..], Format::Gzip),
            (b"PK\x03\x04\x14\0", Format::Zip),
            (b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml", Format::Office),
            (b"PK\x03\x04\x14\0\x06\0\x08\0word/document.xml", Format::Word),
            (b"PK\x03\x04\x14\0mimetypeapplication/vnd.oasis.opendocument.text", Format::OpenDocument),
            (b"BZh91AY&SY", Format::Bzip2),
            (b"\xFD7zXZ\0", Format::Xz),
            (b"\x28\xB5\x2F\xFD\x04", Format::Zstandard),
            (b"7z\xBC\xAF\x27\x1C", Format::SevenZip),
            (b"%PDF-1.7", Format::Pdf),
            (b"{\\rtf1\\ansi}", Format::RichText),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", Format::OldOffice),
            (b"-----BEGIN PGP MESSAGE-----\n", Format::ArmoredPgp),
            (b"\x85\x01\x0C\x03\xAA", Format::Pgp),
            (b"\x8C\x0D\x04\x09", Format::Pgp),
            (b"age-encryption.org/v1\n", Format::Age),
            (b"Salted__12345678", Format::OpenSsl),
            (b"\n<!DOCTYPE html>", Format::WebPage),
            (b"<HTML>", Format::WebPage),
            (b"<?xml version=\"1.0\"?><Error/>", Format::Xml),
            (b"\x89PNG\r\n", Format::Png),
            (b"\xFF\xD8\xFF\xE0", Format::Jpeg),
            (b"\0\x05\x16\x07", Format::AppleDouble),
            (b"eyJhIjogMX0=", Format::JsonInBase64),
            (b"e30=", Format::JsonInBase64),
        ] {
            assert_eq!(problems(bytes), [FileProblem::Format(format)], "{bytes:?}");
        }
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(problems(&tar), [FileProblem::Format(Format::Tar)]);
    }

    #[test]
    fn what_is_no_text_of_eight_bits_is_told_so() {
        for (bytes, problem) in [
            (&b"\xFF\xFE{\0}\0"[..], FileProblem::Utf16),
            (b"{\0}\0", FileProblem::Utf16),
            (b"\0\0\0{\0\0\0}", FileProblem::Utf32),
            // Brotli.
            (b"\x0B\x01\x80{}\x03", FileProblem::NoText { at: 1, byte: 0x0B }),
            (b"\0\x01\x02\x03\x04\x05\x06\x07", FileProblem::NoText { at: 1, byte: 0 }),
            (b"\xB2\x17\x99\x02\x01", FileProblem::NoText { at: 2, byte: 0x17 }),
        ] {
            assert_eq!(problems(bytes), [problem], "{bytes:?}");
        }
    }

    #[test]
    fn an_older_encoding_is_named_with_the_place_and_the_line() {
        let found = problems(b"{\n\x93A\x94: 2}");
        let line = FileProblem::Line {
            line: 2,
            width: 1,
            mistakes: vec![(Mistake::Odd('“'), vec![1]), (Mistake::Odd('”'), vec![3])],
            corrected: Some(("\"A\": 2}".into(), 0)),
        };
        assert_eq!(found, [FileProblem::Windows1252 { byte: 0x93, line: 2, column: 1, character: '“' }, line]);
        // In JSON that is right but for its encoding, there is nothing else to report.
        let found = problems(b"{\"A\": \"\xFCber\"}");
        assert_eq!(found, [FileProblem::Windows1252 { byte: 0xFC, line: 1, column: 8, character: 'ü' }]);
        assert_eq!(problems(b"{\"A\": \"\x81\"}"), [FileProblem::NotUtf8 { byte: 0x81, line: 1, column: 8 }]);
    }

    #[test]
    fn json_is_never_taken_for_something_else() {
        for text in ["{}", " {\"a\": \"PK\"}", "\n{\"BZh\": \"%PDF-\"}", "\u{feff}{\"eyJ\": \"<html\"}"] {
            assert!(read(&Body::Read(text.as_bytes().to_vec())).is_ok(), "{text}");
        }
    }
}
