//! What the bytes of an upload are, where they are no text in UTF-8: compressed, encrypted, a document, another encoding. They
//! are named by their first bytes and never unpacked: what is unpacked may be a thousand times as large.

use super::place;
use crate::message::FileProblem;

/// First bytes, and what begins so (the formats' own documents; Wikipedia's "List of file signatures" has most of them).
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"\x1F\x8B", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xFD7zXZ\0", "an xz file"),
    (b"\x28\xB5\x2F\xFD", "a Zstandard (zstd) file"),
    (b"\x04\x22\x4D\x18", "an lz4 file"),
    (b"7z\xBC\xAF\x27\x1C", "a 7-Zip file"),
    (b"Rar!\x1A\x07", "a RAR file"),
    (b"LZIP", "an lzip file"),
    (b"\x1F\x9D", "a compressed (.Z) file"),
    (b"\x5D\0\0", "an lzma file"),
    (b"MSCF", "a cabinet (.cab) file"),
    (b"%PDF-", "a PDF document"),
    (b"{\\rtf", "a document in Rich Text Format (RTF)"),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Office document (.doc, .xls)"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xFF\xD8\xFF", "a picture (JPEG)"),
    (b"GIF8", "a picture (GIF)"),
    (b"RIFF", "a picture or a recording (RIFF)"),
    (b"II*\0", "a picture (TIFF)"),
    (b"MM\0*", "a picture (TIFF)"),
    (b"bplist00", "a property list of macOS"),
    (b"\0\x05\x16\x07", "an AppleDouble file of macOS (the ._ file beside the true one)"),
    (b"\x7FELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"-----BEGIN PGP", "a file that is encrypted or signed with PGP"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "a file that is encrypted with age"),
    (b"age-encryption.org/", "a file that is encrypted with age"),
    (b"Salted__", "a file that is encrypted with OpenSSL"),
    (b"U2FsdGVkX1", "a file that is encrypted with OpenSSL"),
    (b"$ANSIBLE_VAULT", "a file that is encrypted with Ansible Vault"),
    (b"\0GITCRYPT\0", "a file that is encrypted with git-crypt"),
    (b"-----BEGIN ", "a key, certificate or message in PEM"),
    (b"\x80\x04\x95", "a pickle of Python"),
];

/// First words of text that is no JSON, in small letters; what is before them is only space.
const MARKUP: &[(&[u8], &str)] = &[
    (b"<!doctype html", "a web page (HTML)"),
    (b"<html", "a web page (HTML)"),
    (b"<?xml", "an XML file"),
    (b"<error>", "an error of S3 (XML), and not the file that was to be fetched"),
];

/// Marks of a zip file's first kilobyte: office documents are zip files.
const ZIPPED: &[(&[u8], &str)] = &[
    (b"word/", "a Word document (.docx)"),
    (b"xl/", "an Excel workbook (.xlsx)"),
    (b"ppt/", "a PowerPoint presentation (.pptx)"),
    (b"vnd.oasis.opendocument", "an OpenDocument file (LibreOffice)"),
    (b"[Content_Types].xml", "an Office document (.docx, .xlsx)"),
    (b"index/", "a document of Apple's Pages or Numbers"),
];

/// A format that is no plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// What people call a file of it, as `a gzip file`.
    pub name: &'static str,
}

/// What the bytes are by their signature, where that is not plain text.
pub fn named(bytes: &[u8]) -> Option<FileProblem> {
    let start = &bytes[..bytes.len().min(1024)];
    let text = start.trim_ascii_start();
    let lower = text[..text.len().min(32)].to_ascii_lowercase();
    let begins = |(signature, what): &(&[u8], &'static str)| start.starts_with(signature).then_some(*what);
    let what = zipped(start)
        .or_else(|| SIGNATURES.iter().find_map(begins))
        .or_else(|| MARKUP.iter().find_map(|(word, what)| lower.starts_with(word).then_some(*what)))
        .or_else(|| text.starts_with(b"{\\rtf").then_some("a document in Rich Text Format (RTF)"))
        .or_else(|| is_pgp(start).then_some("a file that is encrypted with PGP"))
        .or_else(|| bytes.get(257..262).filter(|mark| *mark == b"ustar").map(|_| "a tar archive"))
        .or_else(|| is_base64_of_json(text).then_some("JSON in base64"))?;
    Some(FileProblem::Format(Format { name: what }))
}

fn zipped(start: &[u8]) -> Option<&'static str> {
    if ![&b"PK\x03\x04"[..], b"PK\x05\x06", b"PK\x07\x08"].iter().any(|mark| start.starts_with(mark)) {
        return None;
    }
    let holds = |mark: &[u8]| start.windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark));
    Some(ZIPPED.iter().find_map(|(mark, what)| holds(mark).then_some(*what)).unwrap_or("a zip file"))
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

/// Control characters make no text. Brotli and many ciphers have no signature: this is what they are told by.
pub fn not_text(bytes: &[u8]) -> Option<FileProblem> {
    let control = |b: &u8| (*b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r' | 0x0B | 0x0C | 0x1B)) || *b == 0x7F;
    // Where it is text for the rest, one stray control character is a mistake on a line, and is told as such.
    let strays = bytes.iter().filter(|b| control(b)).count();
    let is_invalid = std::str::from_utf8(bytes).is_err();
    let first = bytes.iter().position(|b| control(b) || (is_invalid && *b == 0x0B))?;
    (is_invalid || strays * 8 > bytes.len()).then(|| FileProblem::NoText { at: first + 1, byte: bytes[first] })
}

#[cfg(test)]
mod tests {
    use super::super::{Body, read};

    fn told(bytes: &[u8]) -> String {
        read(&Body::Read(bytes.to_vec())).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_no_plain_text_is_called_by_its_name() {
        for (bytes, name) in [
            (&b"\x1F\x8B\x08\0\0\0\0\0\0\x03\xAB\xAE\x05\0\x43"[..], "a gzip file"),
            (b"\x0B\x01\x80{}\x03", "Content-Encoding: br"),
            (b"PK\x03\x04\x14\0", "a zip file"),
            (b"PK\x03\x04\x14\0\x06\0\x08\0[Content_Types].xml", "an Office document"),
            (b"PK\x03\x04\x14\0\x06\0\x08\0word/document.xml", "a Word document"),
            (b"PK\x03\x04\x14\0mimetypeapplication/vnd.oasis.opendocument.text", "an OpenDocument file"),
            (b"BZh91AY&SY", "a bzip2 file"),
            (b"\xFD7zXZ\0", "an xz file"),
            (b"\x28\xB5\x2F\xFD\x04", "Zstandard"),
            (b"7z\xBC\xAF\x27\x1C", "7-Zip"),
            (b"%PDF-1.7", "a PDF document"),
            (b"{\\rtf1\\ansi}", "Rich Text Format"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "an old Office document"),
            (b"-----BEGIN PGP MESSAGE-----\n", "PGP"),
            (b"\x85\x01\x0C\x03\xAA", "encrypted with PGP"),
            (b"\x8C\x0D\x04\x09", "encrypted with PGP"),
            (b"age-encryption.org/v1\n", "encrypted with age"),
            (b"Salted__12345678", "OpenSSL"),
            (b"\n<!DOCTYPE html>", "a web page"),
            (b"<HTML>", "a web page"),
            (b"<?xml version=\"1.0\"?><Error/>", "an XML file"),
            (b"\x89PNG\r\n", "a picture"),
            (b"\xFF\xD8\xFF\xE0", "a picture"),
            (b"\0\x05\x16\x07", "AppleDouble"),
            (b"eyJhIjogMX0=", "JSON in base64"),
            (b"e30=", "JSON in base64"),
            (b"\xFF\xFE{\0}\0", "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\0\0\0{\0\0\0}", "UTF-32"),
            (b"\0\x01\x02\x03\x04\x05\x06\x07", "it is no text"),
            (b"\xB2\x17\x99\x02\x01", "it is no text"),
        ] {
            assert!(told(bytes).contains(name), "{name}: {}", told(bytes));
        }
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(told(&tar).contains("a tar archive"));
    }

    #[test]
    fn an_older_encoding_is_named_with_the_place_and_the_line() {
        let told_of = told(b"{\n\x93A\x94: 2}");
        assert!(told_of.contains("Windows-1252") && told_of.contains("0x93 at line 2, column 1"), "{told_of}");
        assert!(told_of.contains("left double quotation mark") && told_of.contains("Corrected: \"A\": 2}"), "{told_of}");
        let latin = told(b"{\"A\": \"\xFCber\"}");
        assert!(latin.contains("0xFC at line 1, column 8") && latin.contains('ü'), "{latin}");
        // In JSON that is right but for its encoding, there is nothing else to tell.
        assert_eq!(latin.lines().count(), 2, "{latin}");
        assert!(told(b"{\"A\": \"\x81\"}").contains("it is not UTF-8 text (the byte 0x81"));
    }

    #[test]
    fn json_is_never_taken_for_something_else() {
        for text in ["{}", " {\"a\": \"PK\"}", "\n{\"BZh\": \"%PDF-\"}", "\u{feff}{\"eyJ\": \"<html\"}"] {
            assert!(read(&Body::Read(text.as_bytes().to_vec())).is_ok(), "{text}");
        }
    }
}
