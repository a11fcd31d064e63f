//! A template's text into its card: parameters with their constraints, our metadata, which resources there are on which
//! condition, and the digest. Compiled into the build script, and into the fuzz target that gives it other texts than ours.

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The card of a template; what stands in the way, where there is none.
pub fn read(text: &str) -> Result<Value, String> {
    let documents = YamlOwned::load_from_str(text).map_err(|e| format!("it is not YAML: {e}"))?;
    let document = documents.first().ok_or("it is empty")?;
    let template = plain(document)?;
    let digest: String = Sha256::digest(text).iter().take(8).map(|b| format!("{b:02x}")).collect();
    Ok(json!({
        "Digest": digest,
        "Resources": template["Resources"].as_object().map(resources).unwrap_or_default(),
        "Conditions": conditions(document)?,
        "Parameters": template["Parameters"],
        "Metadata": template["Metadata"]["Clusterdrop"],
    }))
}

/// The condition of each resource, or null.
fn resources(all: &Map<String, Value>) -> Vec<Value> {
    all.values().map(|resource| resource["Condition"].clone()).collect()
}

/// The template's conditions, each function in its long form.
fn conditions(document: &YamlOwned) -> Result<Value, String> {
    let YamlOwned::Mapping(sections) = document else { return Ok(json!({})) };
    let found = sections.iter().find(|(name, _)| plain(name).is_ok_and(|name| name == "Conditions"));
    found.map_or_else(|| Ok(json!({})), |(_, conditions)| expression(conditions))
}

/// YAML as JSON, with `!Equals` as `Fn::Equals` and every scalar as text, which is how CloudFormation compares them.
fn expression(node: &YamlOwned) -> Result<Value, String> {
    Ok(match node {
        YamlOwned::Tagged(tag, inner) => {
            let name = match tag.suffix.as_str() {
                bare @ ("Ref" | "Condition") => bare.to_owned(),
                function => format!("Fn::{function}"),
            };
            json!({ name: expression(inner)? })
        }
        YamlOwned::Sequence(items) => Value::Array(items.iter().map(expression).collect::<Result<_, _>>()?),
        YamlOwned::Mapping(pairs) => {
            let pair =
                |(key, value): (&YamlOwned, &YamlOwned)| Ok((plain(key)?.as_str().unwrap_or_default().to_owned(), expression(value)?));
            Value::Object(pairs.iter().map(pair).collect::<Result<Map<_, _>, String>>()?)
        }
        scalar => match plain(scalar)? {
            Value::String(text) => Value::String(text),
            other => Value::String(other.to_string()),
        },
    })
}

/// YAML as JSON. Tags (`!Ref`, `!Sub`) are dropped: what the card holds of them has none.
fn plain(node: &YamlOwned) -> Result<Value, String> {
    Ok(match node {
        YamlOwned::Value(scalar) => match scalar {
            ScalarOwned::Null => Value::Null,
            ScalarOwned::Boolean(b) => json!(b),
            ScalarOwned::Integer(n) => json!(n),
            ScalarOwned::FloatingPoint(x) => json!(x.into_inner()),
            ScalarOwned::String(s) => json!(s),
        },
        YamlOwned::Sequence(items) => Value::Array(items.iter().map(plain).collect::<Result<_, _>>()?),
        YamlOwned::Mapping(pairs) => {
            let pair = |(key, value): (&YamlOwned, &YamlOwned)| Ok((plain(key)?.as_str().unwrap_or_default().to_owned(), plain(value)?));
            Value::Object(pairs.iter().map(pair).collect::<Result<Map<_, _>, String>>()?)
        }
        YamlOwned::Tagged(_, inner) => plain(inner)?,
        YamlOwned::Representation(text, ..) => json!(text),
        YamlOwned::Alias(_) | YamlOwned::BadValue => return Err("it has an alias, or a value that cannot be read".to_owned()),
    })
}
