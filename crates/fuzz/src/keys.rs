//! Keys: whatever stands in one, `key::read` says what the contract says, and answers lie beside the upload.

use arbitrary::Unstructured;
use cf_core::key::{self, Answer, KEY_BYTES_MAX, Reading, UploadKey, Verb};
use cf_core::message::WrongKey;
use cf_core::names::{ClusterName, User};
use regex_lite::Regex;

use crate::drive::{mostly, pick, target, text, upto};

target!(
    /// Keys are text in every event; bytes that are none never come as far as here.
    any_text,
    one in 1,
    reached ["not a request"],
    |bytes: &[u8]| law(&String::from_utf8_lossy(bytes))
);

target!(
    /// Something like a request's key, from pieces.
    pieces,
    one in 1,
    reached ["a request", "refused", "looks like a request", "not a request"],
    |bytes: &[u8]| {
        let u = &mut Unstructured::new(bytes);
        let mut key = mostly(u, "home/", &["", "/home/", "Home/", "home"]).to_owned();
        key += mostly(u, "alice/", &["Alice.b@c/", "a/", "-a/", "", "..", "../", "al\0ice/", "a b/", "a*/"]);
        for _ in 0..upto(u, 3) {
            key += &text(u);
            key += mostly(u, "/", &["//", "", "/./"]);
        }
        key += mostly(u, "demo", &["", "-demo", "de mo", "x.cf-create", "0", "a_b"]);
        key += pick(u, &[".cf-create", ".cf-create", ".cf-delete", ".cf-delete", ".cf-status", ".cf-failed", "cf-create", ".CF-CREATE", ".cf-create.txt", ".cf_delete", ""]);
        law(&key)
    }
);

/// The contract once more, in other words: a request's key by a pattern, and what a pattern cannot say.
fn is_request(key: &str) -> bool {
    static PATTERN: std::sync::OnceLock<Regex> = std::sync::OnceLock::new();
    let pattern = PATTERN.get_or_init(|| {
        Regex::new(r"^home/[A-Za-z0-9_][A-Za-z0-9_.@=-]{0,63}/([^/]+/)*[A-Za-z0-9][-A-Za-z0-9]{0,39}\.cf-(create|delete)$")
            .expect("a pattern")
    });
    pattern.is_match(key)
        && key.len() <= KEY_BYTES_MAX
        && !key.split('/').any(|part| part == "." || part == "..")
        && !key.chars().any(|c| c.is_control() || matches!(c, '+' | '%' | '\\'))
}

fn law(key: &str) -> &'static str {
    let reading = key::read(key);
    assert_eq!(matches!(reading, Reading::Request(_)), is_request(key), "{key:?} is {reading:?}");
    let means_to_be = key.starts_with(key::HOME) && Verb::ALL.iter().any(|v| key[key::HOME.len()..].ends_with(v.suffix()));
    match reading {
        Reading::Request(read) => {
            request(key, &read);
            "a request"
        }
        Reading::Refused { file, answer, problem } => {
            assert_eq!(*file, *key);
            assert!(means_to_be, "{key:?}");
            let stem = &key[..key.len() - Verb::Create.suffix().len()];
            assert_eq!(*answer, *format!("{stem}.cf-failed"), "an answer is named after its upload, and lies beside it");
            assert_eq!(key::read(&answer), Reading::NotARequest, "{answer:?}");
            let parts = problem.parts();
            for part in [&parts.asked, &parts.stands, &parts.next] {
                assert!(!part.is_empty() && part.len() < 20 * (key.len() + 20) && !part.chars().any(char::is_control), "{problem:?}");
            }
            "refused"
        }
        Reading::LooksLike { answer, problem } => {
            assert!(!means_to_be && key.starts_with(key::HOME), "{key:?}");
            assert_eq!(*answer, *format!("{key}.cf-failed"), "an answer is named after its file, and lies beside it");
            assert_eq!(key::read(&answer), Reading::NotARequest, "{answer:?}: an answer is never answered");
            assert!(answer.len() <= 1024);
            if let WrongKey::Ending { right: Ok(right), .. } = &problem.wrong {
                let right = right.to_string();
                assert!(is_request(&right), "{right:?} is to work");
                assert_eq!(right.rsplit_once('/').map(|at| at.0), key.rsplit_once('/').map(|at| at.0), "in the same folder");
            }
            let parts = problem.parts();
            for part in [&parts.asked, &parts.stands, &parts.next] {
                assert!(!part.is_empty() && part.len() < 20 * (key.len() + 20) && !part.chars().any(char::is_control), "{problem:?}");
            }
            "looks like a request"
        }
        Reading::NotARequest => {
            assert!(!means_to_be, "{key:?}");
            "not a request"
        }
    }
}

fn request(key: &str, read: &UploadKey) {
    assert_eq!(read.to_string(), key);
    assert_eq!(Some(read.cluster.user.as_str()), key.split('/').nth(1), "the user is the second segment");
    assert_eq!(User::parse(read.cluster.user.as_str()).as_ref(), Ok(&read.cluster.user));
    assert_eq!(ClusterName::parse(read.cluster.name.as_str()).as_ref(), Ok(&read.cluster.name));
    let folder = read.folder.as_str();
    assert!(folder.starts_with(&format!("home/{}/", read.cluster.user)) && folder.ends_with('/'), "{folder}");
    let beside = Answer::ALL.map(|answer| read.answer(answer).to_string()).into_iter().chain([read.status().to_string()]);
    for answer in beside {
        let name = answer.strip_prefix(folder).unwrap_or_else(|| panic!("{answer} is not in {folder}"));
        assert!(!name.contains('/') && name.starts_with(&format!("{}.cf-", read.cluster.name)), "{answer}");
        assert!(answer.starts_with(&read.folder.stem(&read.cluster.name)) && answer != key && answer.len() <= 1024);
        assert_eq!(key::read(&answer), Reading::NotARequest, "{answer}: an answer never reads as a request");
    }
    let json = serde_json::to_string(read).expect("a key has a JSON form");
    assert_eq!(serde_json::from_str::<UploadKey>(&json).ok().as_ref(), Some(read));
}
