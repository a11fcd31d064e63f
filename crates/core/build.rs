//! Reads `templates/cluster.yaml` once, at build time, into the JSON card that the functions carry: parameters with
//! their constraints, our metadata, the number of resources and the digest. Parsing forty kilobytes of YAML at each
//! cold start would cost more than everything else in it.

#![allow(clippy::disallowed_methods, reason = "a build script reads files; the purity of the crate is that of its library")]

use std::{env, fs, path::PathBuf};

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

const TEMPLATE: &str = "../../templates/cluster.yaml";

fn main() {
    println!("cargo::rerun-if-changed={TEMPLATE}");
    let text = fs::read_to_string(TEMPLATE).expect("templates/cluster.yaml is part of the project");
    let documents = YamlOwned::load_from_str(&text).expect("templates/cluster.yaml is YAML");
    let template = plain(&documents[0]);
    let digest: String = Sha256::digest(&text).iter().take(8).map(|b| format!("{b:02x}")).collect();
    let card = json!({
        "Digest": digest,
        "Resources": template["Resources"].as_object().map_or(0, Map::len),
        "Parameters": template["Parameters"],
        "Metadata": template["Metadata"]["Clusterdrop"],
    });
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("card.json"), card.to_string()).expect("OUT_DIR can be written");
}

/// YAML as JSON. Tags (`!Ref`, `!Sub`) are dropped: nothing that the card holds has one.
fn plain(node: &YamlOwned) -> Value {
    match node {
        YamlOwned::Value(scalar) => match scalar {
            ScalarOwned::Null => Value::Null,
            ScalarOwned::Boolean(b) => json!(b),
            ScalarOwned::Integer(n) => json!(n),
            ScalarOwned::FloatingPoint(x) => json!(x.into_inner()),
            ScalarOwned::String(s) => json!(s),
        },
        YamlOwned::Sequence(items) => items.iter().map(plain).collect(),
        YamlOwned::Mapping(pairs) => pairs
            .iter()
            .map(|(key, value)| (plain(key).as_str().unwrap_or_default().to_owned(), plain(value)))
            .collect::<Map<_, _>>()
            .into(),
        YamlOwned::Tagged(_, inner) => plain(inner),
        YamlOwned::Representation(text, ..) => json!(text),
        YamlOwned::Alias(_) | YamlOwned::BadValue => panic!("templates/cluster.yaml has an alias or a value that cannot be read"),
    }
}
