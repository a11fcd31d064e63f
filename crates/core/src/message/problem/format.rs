//! What a file holds that is not a request: another format, or JSON that is no object.

use std::fmt;

/// A format that is no plain text, or no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Format {
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// Zstandard.
    Zstandard,
    /// lz4.
    Lz4,
    /// 7-Zip.
    SevenZip,
    /// RAR.
    Rar,
    /// lzip.
    Lzip,
    /// The `compress` of Unix.
    Compress,
    /// lzma.
    Lzma,
    /// A cabinet of Windows.
    Cabinet,
    /// PDF.
    Pdf,
    /// Rich Text Format.
    RichText,
    /// A document of Office before 2007.
    OldOffice,
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// GIF.
    Gif,
    /// RIFF.
    Riff,
    /// TIFF.
    Tiff,
    /// A binary property list.
    PropertyList,
    /// The `._` file of macOS.
    AppleDouble,
    /// An executable.
    Program,
    /// SQLite.
    Sqlite,
    /// PGP as text: encrypted or signed.
    ArmoredPgp,
    /// age.
    Age,
    /// OpenSSL.
    OpenSsl,
    /// Ansible Vault.
    AnsibleVault,
    /// git-crypt.
    GitCrypt,
    /// PEM.
    Pem,
    /// A pickle of Python.
    Pickle,
    /// HTML.
    WebPage,
    /// XML.
    Xml,
    /// An error document of S3.
    S3Error,
    /// Word.
    Word,
    /// Excel.
    Excel,
    /// PowerPoint.
    PowerPoint,
    /// OpenDocument.
    OpenDocument,
    /// Some document of Office.
    Office,
    /// A document of Pages or Numbers.
    AppleDocument,
    /// A zip file that is no document.
    Zip,
    /// A tar archive.
    Tar,
    /// PGP in binary: encrypted.
    Pgp,
    /// JSON in base64.
    JsonInBase64,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "a gzip file",
            Self::Bzip2 => "a bzip2 file",
            Self::Xz => "an xz file",
            Self::Zstandard => "a Zstandard (zstd) file",
            Self::Lz4 => "an lz4 file",
            Self::SevenZip => "a 7-Zip file",
            Self::Rar => "a RAR file",
            Self::Lzip => "an lzip file",
            Self::Compress => "a compressed (.Z) file",
            Self::Lzma => "an lzma file",
            Self::Cabinet => "a cabinet (.cab) file",
            Self::Pdf => "a PDF document",
            Self::RichText => "a document in Rich Text Format (RTF)",
            Self::OldOffice => "an old Office document (.doc, .xls)",
            Self::Png => "a picture (PNG)",
            Self::Jpeg => "a picture (JPEG)",
            Self::Gif => "a picture (GIF)",
            Self::Riff => "a picture or a recording (RIFF)",
            Self::Tiff => "a picture (TIFF)",
            Self::PropertyList => "a property list of macOS",
            Self::AppleDouble => "an AppleDouble file of macOS (the ._ file beside the true one)",
            Self::Program => "a program",
            Self::Sqlite => "a database (SQLite)",
            Self::ArmoredPgp => "a file that is encrypted or signed with PGP",
            Self::Age => "a file that is encrypted with age",
            Self::OpenSsl => "a file that is encrypted with OpenSSL",
            Self::AnsibleVault => "a file that is encrypted with Ansible Vault",
            Self::GitCrypt => "a file that is encrypted with git-crypt",
            Self::Pem => "a key, certificate or message in PEM",
            Self::Pickle => "a pickle of Python",
            Self::WebPage => "a web page (HTML)",
            Self::Xml => "an XML file",
            Self::S3Error => "an error of S3 (XML), and not the file that was to be fetched",
            Self::Word => "a Word document (.docx)",
            Self::Excel => "an Excel workbook (.xlsx)",
            Self::PowerPoint => "a PowerPoint presentation (.pptx)",
            Self::OpenDocument => "an OpenDocument file (LibreOffice)",
            Self::Office => "an Office document (.docx, .xlsx)",
            Self::AppleDocument => "a document of Apple's Pages or Numbers",
            Self::Zip => "a zip file",
            Self::Tar => "a tar archive",
            Self::Pgp => "a file that is encrypted with PGP",
            Self::JsonInBase64 => "JSON in base64",
        })
    }
}

impl Format {
    pub(super) const NEXT_TEXT: &str = "upload the plain text (JSON in UTF-8), not compressed and not encrypted";

    pub(super) const fn next(self) -> &'static str {
        match self {
            Self::Pdf
            | Self::RichText
            | Self::OldOffice
            | Self::Word
            | Self::Excel
            | Self::OpenDocument
            | Self::Office
            | Self::AppleDocument => "save it as plain text (\"Text only\", UTF-8) and upload that",
            Self::JsonInBase64 => "decode it (base64 -d) and upload the plain text",
            _ => Self::NEXT_TEXT,
        }
    }
}

/// JSON that is no object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    Array,
}

impl fmt::Display for JsonType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Array => "an array",
        })
    }
}
