//! A template's text into its card: parameters with their constraints, our metadata, the number of resources and the
//! digest. Compiled into the build script, and into the fuzz target that gives it other texts than ours.

use saphyr::{LoadableYamlNode, ScalarOwned, YamlOwned};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The card of a template; what stands in the way, where there is none.
pub fn read(text: &str) -> Result<Value, String> {
    let documents = YamlOwned::load_from_str(text).map_err(|e| format!("it is not YAML: {e}"))?;
    let template = plain(documents.first().ok_or("it is empty")?)?;
    let digest: String = Sha256::digest(text).iter().take(8).map(|b| format!("{b:02x}")).collect();
    Ok(json!({
        "Digest": digest,
        "Resources": template["Resources"].as_object().map_or(0, Map::len),
        "Parameters": template["Parameters"],
        "Metadata": template["Metadata"]["Clusterdrop"],
    }))
}

/// YAML as JSON. Tags (`!Ref`, `!Sub`) are dropped: nothing that the card holds has one.
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
