//! Tests of declarations: what is read, and each mistake in words.

use super::*;

fn listing(export: &[&str], populate: &[&str]) -> Listing {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Listing { export: names(export), populate: names(populate) }
}

fn mistakes(text: &str, listing: &Listing) -> Vec<String> {
    let parsed = parse("site", Path::new("/p"), text, listing, &BTreeMap::new());
    parsed.map_or_else(|mistakes| mistakes.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn steps_keep_their_order_and_find_their_scripts() {
    let text = r#"
        on-error = "stop" # what is not the exchange's is another reader's
        [[exchange]]
        name = "keys"
        export = "export.d/10-ssh.sh"
        outputs = [{ name = "keys" }, { name = "trouble", error = true }]
        inputs = { ports = [80, 443], domain = "example.org", day = 2026-11-27 }
        [[exchange]]
        name = "hosts"
        signal = "none"
        timeout-seconds = 5
    "#;
    let steps = parse("site", Path::new("/p"), text, &listing(&["10-ssh.sh", "hosts.sh"], &["hosts"]), &BTreeMap::new()).unwrap();
    assert_eq!(steps.iter().map(|step| step.key.as_str()).collect::<Vec<_>>(), ["site/keys", "site/hosts"]);
    assert_eq!((steps[0].export.as_deref(), steps[0].populate.as_deref()), (Some("export.d/10-ssh.sh"), None));
    assert_eq!((steps[1].export.as_deref(), steps[1].populate.as_deref()), (Some("export.d/hosts.sh"), Some("populate.d/hosts")));
    assert_eq!((steps[0].timeout_seconds, steps[1].timeout_seconds), (1_800, 5));
    assert_eq!((steps[0].signal, steps[1].signal), (Signal::Wait, Signal::None));
    assert_eq!(steps[0].inputs["day"], "2026-11-27");
    assert!(parse("site", Path::new("/p"), "", &Listing::default(), &BTreeMap::new()).unwrap().is_empty());
}

#[test]
fn all_mistakes_are_told_with_their_steps() {
    let text = r#"
        [[exchange]]
        name = "Hosts"
        export = "export.d/../../etc/shadow"
        timeout-seconds = 0
        [[exchange]]
        name = "keys"
        outputs = [{ name = "PATH" }, { name = "a-b" }, { name = "twice" }, { name = "twice" }]
        inputs = { twice = 1, big = inf }
        [[exchange]]
        name = "typo"
        ouputs = []
        [[exchange]]
        export = "export.d/x"
        [[exchange]]
        name = "two"
        [[exchange]]
        name = "none"
        [[exchange]]
        name = "keys"
    "#;
    let told = mistakes(text, &listing(&["two.sh", "two.py", "keys"], &[]));
    let has = |part: &str| assert!(told.iter().any(|mistake| mistake.contains(part)), "{part} is not in {told:#?}");
    has("profile site, exchange step \"Hosts\": a step's name is of small letters");
    has("export = \"export.d/../../etc/shadow\" is no script of this profile");
    has("step \"Hosts\": timeout-seconds is from 1 to 86400");
    has("step \"keys\": the output \"PATH\"");
    has("the output \"a-b\"");
    has("\"twice\" is declared twice");
    has("\"twice\" is an input and an output");
    has("the input big holds a number that JSON has not");
    has("step \"typo\": unknown field `ouputs`");
    has("step \"number 4\": missing field `name`");
    has("step \"two\": export.d/ has several scripts of this name");
    has("step \"none\": it has no script");
    has("step \"keys\": there is another step of this name");
    assert_eq!(told.len(), 13 + 1, "{told:#?}");
}

#[test]
fn a_profile_as_a_whole_can_be_wrong() {
    let none = Listing::default();
    assert!(mistakes("exchange = 1", &none)[0].contains("begin each step with a line [[exchange]]"));
    assert!(mistakes("[[exchange", &none)[0].contains("profile.toml is no TOML"));
    assert_eq!(
        mistakes("", &listing(&[], &["10-x.sh"])),
        ["profile site: populate.d/10-x.sh belongs to no exchange step, so it would never run; name it in profile.toml, or take it away"]
    );
    let many: String = (0..=STEPS_MAX).map(|nth| format!("[[exchange]]\nname = \"s{nth}\"\nexport = \"export.d/x\"\n")).collect();
    assert_eq!(
        mistakes(&many, &listing(&["x"], &[])),
        [format!("profile site: it has {} exchange steps; {STEPS_MAX} is the most", STEPS_MAX + 1)]
    );
}

#[test]
fn bounds_hold_on_both_sides() {
    let step = |rest: &str| mistakes(&format!("[[exchange]]\nname = \"x\"\n{rest}"), &listing(&["x"], &[]));
    assert_eq!(step("timeout-seconds = 1"), [""; 0]);
    assert_eq!(step("timeout-seconds = 86400"), [""; 0]);
    assert_eq!(step("timeout-seconds = 86401").len(), 1);
    let outputs = |count: usize| (0..count).map(|nth| format!("{{ name = \"o{nth}\" }}")).collect::<Vec<_>>().join(",");
    assert_eq!(step(&format!("outputs = [{}]", outputs(OUTPUTS_MAX))), [""; 0]);
    assert_eq!(step(&format!("outputs = [{}]", outputs(OUTPUTS_MAX + 1))).len(), 1);
    assert_eq!(step("signal = \"none\"\nmissing-output = \"refuse\"").len(), 1);
    assert_eq!(step("signal = \"maybe\"").len(), 1);
    assert!(is_step_name(&"a".repeat(63)) && !is_step_name(&"a".repeat(64)) && !is_step_name("-a") && !is_step_name(""));
}
