//! What lies in the files: text from word processors, bytes that are no text, numbers, and profiles without a script.

use anyhow::{Context, Result};

use super::Case;

impl Case {
    /// The answer to a cluster that is refused before anything is made.
    async fn refused(&self, cluster: &str) -> Result<String> {
        let answer = self.s.answer(&format!("{cluster}.cf-failed")).await?;
        self.s.gone(&format!("{cluster}.cf-create")).await?;
        assert!(self.s.stacks(cluster).await?.is_empty(), "{cluster}: {answer}");
        assert!(answer.contains("Nothing was made"), "{cluster}: {answer}");
        Ok(answer)
    }

    async fn drop_and_refuse(&self, cluster: &str, body: &[u8], told: &[&str]) -> Result<()> {
        self.s.stand.drop_file(&self.s.key(&format!("{cluster}.cf-create")), body).await?;
        let answer = self.refused(cluster).await?;
        for part in told {
            assert!(answer.contains(part), "{cluster}: {part:?} is not in {answer}");
        }
        Ok(())
    }
}

#[tokio::test]
async fn b16_text_of_a_word_processor_is_refused_with_the_character_its_place_and_the_line_as_it_should_be() -> Result<()> {
    let mut case = Case::load("b16").await?;
    case.play_all().await?;
    let told: [(&str, &[&str]); 4] = [
        (
            "curly",
            &[
                "line 1",
                "left double quotation mark (U+201C, a curly quote) at columns 3, 22",
                "use the plain \"",
                "Corrected: { \"ComputeMaxNodes\": \"2\" }",
            ],
        ),
        ("nbsp", &["line 1", "no-break space (U+00A0", "at column 2", "Corrected: { \"ComputeMaxNodes\": \"2\" }"]),
        ("zwsp", &["line 1", "zero width space (U+200B, invisible) at column 2", "Corrected: {}"]),
        ("dash", &["line 1", "non-breaking hyphen (U+2011", "at column 25", "Corrected: {\"ComputeInitialNodes\": -1}"]),
    ];
    for (cluster, parts) in told {
        let answer = case.refused(cluster).await?;
        for part in parts {
            assert!(answer.contains(part), "{cluster}: {part:?} is not in {answer}");
        }
    }
    // More of the kind.
    case.drop_and_refuse(
        "wide",
        "｛\"ComputeMaxNodes\"：\"2\"｝".as_bytes(),
        &["fullwidth colon (U+FF1A", "Corrected: {\"ComputeMaxNodes\":\"2\"}"],
    )
    .await?;
    case.drop_and_refuse("bom", "{\n\u{feff}}".as_bytes(), &["line 2", "U+FEFF", "Corrected: }"]).await?;
    let hidden = "{\"AutoscalingPolicy\": \"ena\u{ad}bled\"}";
    case.drop_and_refuse(
        "hidden",
        hidden.as_bytes(),
        &["soft hyphen (U+00AD, invisible) as character 4", "\"AutoscalingPolicy\": \"enabled\""],
    )
    .await?;
    case.drop_and_refuse(
        "windows",
        b"{\x93ComputeMaxNodes\x94: 2}",
        &["Windows-1252", "0x93 at line 1, column 2", "Corrected: {\"ComputeMaxNodes\": 2}"],
    )
    .await?;
    case.drop_and_refuse("python", b"{'ComputeMaxNodes': 2}", &["single quote at columns 2, 18", "use double quotes"]).await?;
    case.drop_and_refuse("yaml", b"ComputeMaxNodes: 2\n", &["a name without quotes", "Corrected: {\"ComputeMaxNodes\": 2}"]).await
}

#[tokio::test]
async fn b17_a_number_is_taken_in_its_one_form_or_refused_at_once_with_what_works_here() -> Result<()> {
    let mut case = Case::load("b17").await?;
    case.play_all().await?;
    for (cluster, corrected) in [("num3", Some("2")), ("num4", Some("32")), ("num5", Some("2")), ("num8", Some("1")), ("num9", None)] {
        let answer = case.refused(cluster).await?;
        assert!(answer.contains("ComputeMaxNodes = \""), "{cluster}: {answer}");
        match corrected {
            Some(number) => assert!(answer.contains(&format!("\"ComputeMaxNodes\": \"{number}\"")), "{cluster}: {answer}"),
            None => assert!(answer.contains("a whole number from 1 to 32, such as 4"), "{cluster}: {answer}"),
        }
    }
    for (cluster, name, taken) in [
        ("num0", "ComputeMaxNodes", "2"),
        ("num1", "ComputeMaxNodes", "2"),
        ("num2", "ComputeMaxNodes", "2"),
        ("num6", "ComputeMaxNodes", "2"),
        ("num7", "ComputeMaxNodes", "2"),
        ("num11", "ComputeInitialNodes", "0"),
        ("num12", "ComputeInitialNodes", "0"),
    ] {
        case.s.answer(&format!("{cluster}.cf-created")).await?;
        let stack = case.s.only_stack(cluster).await?;
        let value = stack.parameters().iter().find(|p| p.parameter_key() == Some(name)).and_then(|p| p.parameter_value());
        assert_eq!(value, Some(taken), "{cluster}");
    }
    // The same cluster in another spelling is the same wish.
    case.s.gone("num0.cf-create").await?;
    case.s.drop("num0.cf-create", "{\"ComputeMaxNodes\": 2.0}").await?;
    case.s.gone("num0.cf-create").await?;
    assert_eq!(case.s.text("num0.cf-failed").await?, None);
    case.s.only_stack("num0").await.map(drop)
}

#[tokio::test]
async fn b18_compressed_and_encrypted_bytes_are_called_by_their_name_and_never_unpacked() -> Result<()> {
    let mut case = Case::load("b18").await?;
    case.play_all().await?;
    let gzip = case.refused("gz").await?;
    assert!(gzip.contains("this is a gzip file") && gzip.contains("upload the plain text"), "{gzip}");
    let brotli = case.refused("br").await?;
    assert!(brotli.contains("it is no text") && brotli.contains("Content-Encoding"), "{brotli}");
    // More of the kind.
    case.drop_and_refuse("zip", b"PK\x03\x04\x14\0\0\0\0\0", &["a zip file"]).await?;
    case.drop_and_refuse("docx", b"PK\x03\x04\x14\0\x06\0[Content_Types].xml word/document.xml", &["a Word document"]).await?;
    case.drop_and_refuse("rtf", b"{\\rtf1\\ansi {\"ComputeMaxNodes\": 2}}", &["Rich Text Format"]).await?;
    case.drop_and_refuse("age", b"age-encryption.org/v1\n-> X25519 x\n", &["encrypted with age"]).await?;
    case.drop_and_refuse("html", b"\n<!DOCTYPE html><html></html>", &["a web page (HTML)"]).await
}

#[tokio::test]
async fn b40_a_profile_without_a_script_is_refused_before_anything_is_paid_for() -> Result<()> {
    let mut case = Case::load_without_profile("b40").await?;
    case.play_all().await?;
    let answer = case.refused("prof").await?;
    assert!(answer.contains("no script lies in customizer/b40/configure.d/"), "{answer}");
    assert!(answer.contains("old/ (a folder, which is not looked into)"), "{answer}");
    // More of the kind, and then a script.
    let bucket = cf_e2e::deploy::CUSTOMIZER_BUCKET;
    for (name, body) in [("README.txt", "read me"), (".DS_Store", "Bud1"), ("manifest.txt", "configure.d/x.sh"), ("placeholder.sh", "")] {
        let key = format!("customizer/b40/configure.d/{name}");
        case.s.stand.s3.put_object().bucket(bucket).key(key).body(body.as_bytes().to_vec().into()).send().await?;
    }
    case.drop_and_refuse("more", b"{}", &["no script lies in", "README.txt (a text or data by its name)"]).await?;
    let key = "customizer/b40/configure.d/user.sh";
    case.s.stand.s3.put_object().bucket(bucket).key(key).body(b"#!/bin/sh\n".to_vec().into()).send().await?;
    case.s.drop("prof.cf-create", "{}").await?;
    case.s.answer("prof.cf-created").await.map(drop).context("with a script it is made")
}
