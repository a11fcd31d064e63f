//! What lies in the files: text from word processors, bytes that are no text, numbers, and profiles without a script.

use anyhow::{Context, Result};
use cf_core::body::Mistake;
use cf_core::characters::lookalike;
use cf_core::message::{FileProblem, Format, NumberError, Odd, OtherFiles, Problem, Wrong};
use cf_core::names::User;
use cf_core::number::{Number, Range};
use cf_core::profile::NotScriptReason;
use cf_e2e::messages;

use super::Case;

impl Case {
    /// The one answer to a cluster that is refused before anything is made.
    async fn refused(&self, cluster: &str, problems: Vec<Problem>) -> Result<()> {
        let answer = self.s.answers(&format!("{cluster}.cf-failed"), &[messages::refused(cluster, problems)]).await?;
        self.s.gone(&format!("{cluster}.cf-create")).await?;
        assert!(self.s.stacks(cluster).await?.is_empty(), "{cluster}: {answer}");
        Ok(())
    }

    async fn drop_and_refuse(&self, cluster: &str, body: &[u8], problems: Vec<Problem>) -> Result<()> {
        self.s.deployment.drop_file(&self.s.key(&format!("{cluster}.cf-create")), body).await?;
        self.refused(cluster, problems).await
    }
}

fn file(problem: FileProblem) -> Vec<Problem> {
    vec![Problem::File(problem)]
}

/// A line with these mistakes, each with its columns, and the line as it should be.
fn line(line: usize, mistakes: &[(Mistake, &[usize])], corrected: &str) -> FileProblem {
    let mistakes = mistakes.iter().map(|(mistake, columns)| (mistake.clone(), columns.to_vec())).collect();
    FileProblem::Line { line, width: 1, mistakes, corrected: Some((corrected.to_owned(), 0)) }
}

fn odd(at: usize, c: char) -> Result<Odd> {
    Ok(Odd(vec![(at, lookalike(c).context("a look-alike")?)]))
}

#[tokio::test]
async fn b16_text_of_a_word_processor_is_refused_with_the_character_its_place_and_the_line_as_it_should_be() -> Result<()> {
    let mut case = Case::load("b16").await?;
    case.play_all().await?;
    for (cluster, problem) in [
        ("curly", line(1, &[(Mistake::Odd('“'), &[3, 22]), (Mistake::Odd('”'), &[19, 24])], "{ \"ComputeMaxNodes\": \"2\" }")),
        ("nbsp", line(1, &[(Mistake::Odd('\u{a0}'), &[2])], "{ \"ComputeMaxNodes\": \"2\" }")),
        ("zwsp", line(1, &[(Mistake::Odd('\u{200b}'), &[2])], "{}")),
        ("dash", line(1, &[(Mistake::Odd('\u{2011}'), &[25])], "{\"ComputeInitialNodes\": -1}")),
    ] {
        case.refused(cluster, file(problem)).await?;
    }
    // More of the kind.
    let wide =
        line(1, &[(Mistake::Odd('｛'), &[1]), (Mistake::Odd('：'), &[19]), (Mistake::Odd('｝'), &[23])], "{\"ComputeMaxNodes\":\"2\"}");
    case.drop_and_refuse("wide", "｛\"ComputeMaxNodes\"：\"2\"｝".as_bytes(), file(wide)).await?;
    case.drop_and_refuse("bom", "{\n\u{feff}}".as_bytes(), file(line(2, &[(Mistake::Odd('\u{feff}'), &[1])], "}"))).await?;
    let hidden = Wrong::OddValue { odd: odd(4, '\u{ad}')?, value: "enabled".into() };
    let hidden = messages::wrong("AutoscalingPolicy", "ena\u{ad}bled", hidden);
    case.drop_and_refuse("hidden", "{\"AutoscalingPolicy\": \"ena\u{ad}bled\"}".as_bytes(), vec![hidden]).await?;
    let windows = [
        FileProblem::Windows1252 { byte: 0x93, line: 1, column: 2, character: '“' },
        line(1, &[(Mistake::Odd('“'), &[2]), (Mistake::Odd('”'), &[18])], "{\"ComputeMaxNodes\": 2}"),
    ];
    case.drop_and_refuse("windows", b"{\x93ComputeMaxNodes\x94: 2}", windows.map(Problem::File).to_vec()).await?;
    let python = line(1, &[(Mistake::SingleQuote, &[2, 18])], "{\"ComputeMaxNodes\": 2}");
    case.drop_and_refuse("python", b"{'ComputeMaxNodes': 2}", file(python)).await?;
    let yaml = [(Mistake::NoOpen, &[1][..]), (Mistake::BareName, &[1, 16]), (Mistake::NoClose, &[19])];
    case.drop_and_refuse("yaml", b"ComputeMaxNodes: 2\n", file(line(1, &yaml, "{\"ComputeMaxNodes\": 2}"))).await
}

#[tokio::test]
async fn b17_a_number_is_taken_in_its_one_form_or_refused_at_once_with_what_works_here() -> Result<()> {
    let mut case = Case::load("b17").await?;
    case.play_all().await?;
    for (cluster, value, why, meant) in [
        ("num3", "0x2", NumberError::Unreadable, Some(2)),
        ("num4", "1_000", NumberError::Unreadable, Some(32)),
        ("num8", "1e0", NumberError::Unreadable, Some(1)),
        ("num9", "", NumberError::Empty, None),
    ] {
        let range = Range { least: Some(1.into()), most: Some(32.into()), is_whole: true };
        let wrong = Wrong::Number { why, range, meant: meant.map(Number::from), example: 4.into() };
        case.refused(cluster, vec![messages::wrong("ComputeMaxNodes", value, wrong)]).await?;
    }
    let wide = Wrong::OddValue { odd: odd(1, '２')?, value: "2".into() };
    case.refused("num5", vec![messages::wrong("ComputeMaxNodes", "２", wide)]).await?;
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
    // The same cluster in another spelling is the same request.
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
    case.refused("gz", file(FileProblem::Format(Format::Gzip))).await?;
    case.refused("br", file(FileProblem::NoText { at: 1, byte: 0x0B })).await?;
    // More of the kind.
    for (cluster, body, format) in [
        ("zip", &b"PK\x03\x04\x14\0\0\0\0\0"[..], Format::Zip),
        ("docx", b"PK\x03\x04\x14\0\x06\0[Content_Types].xml word/document.xml", Format::Word),
        ("rtf", b"{\\rtf1\\ansi {\"ComputeMaxNodes\": 2}}", Format::RichText),
        ("age", b"age-encryption.org/v1\n-> X25519 x\n", Format::Age),
        ("html", b"\n<!DOCTYPE html><html></html>", Format::WebPage),
    ] {
        case.drop_and_refuse(cluster, body, file(FileProblem::Format(format))).await?;
    }
    Ok(())
}

/// A user's profile has files, and none of them is a script.
fn no_script(files: &[(&str, NotScriptReason)], count: usize) -> Result<Vec<Problem>> {
    let files = files.iter().map(|(name, why)| ((*name).to_owned(), *why)).collect();
    Ok(vec![Problem::NoProfile { user: User::parse("b40")?, others: Some(OtherFiles { files, count }) }])
}

#[tokio::test]
async fn b40_a_profile_without_a_script_is_refused_before_anything_is_paid_for() -> Result<()> {
    let mut case = Case::load_without_profile("b40").await?;
    case.play_all().await?;
    case.refused("prof", no_script(&[("old/", NotScriptReason::Folder)], 1)?).await?;
    // More of the kind, and then a script.
    let bucket = cf_local::deploy::CUSTOMIZER_BUCKET;
    for (name, body) in [("README.txt", "read me"), (".DS_Store", "Bud1"), ("manifest.txt", "configure.d/x.sh"), ("placeholder.sh", "")] {
        let key = format!("customizer/b40/configure.d/{name}");
        case.s.deployment.s3.put_object().bucket(bucket).key(key).body(body.as_bytes().to_vec().into()).send().await?;
    }
    let found = [
        (".DS_Store", NotScriptReason::Hidden),
        ("README.txt", NotScriptReason::TextByName),
        ("manifest.txt", NotScriptReason::TextByName),
        ("placeholder.sh", NotScriptReason::Empty),
    ];
    case.drop_and_refuse("more", b"{}", no_script(&found, 5)?).await?;
    let key = "customizer/b40/configure.d/user.sh";
    case.s.deployment.s3.put_object().bucket(bucket).key(key).body(b"#!/bin/sh\n".to_vec().into()).send().await?;
    case.s.drop("prof.cf-create", "{}").await?;
    case.s.answer("prof.cf-created").await.map(drop).context("with a script it is made")
}
