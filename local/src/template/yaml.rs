//! CloudFormation's YAML, in which `!Ref X` is short for `{"Ref": "X"}`.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use serde_yaml_ng::Value as Yaml;

/// Reads `text` and expands its tags to the form of CloudFormation's JSON.
pub(super) fn read(text: &str) -> Result<Value> {
    let yaml: Yaml = serde_yaml_ng::from_str(text).context("the template is not valid YAML")?;
    spell_out(yaml, "template")
}

fn spell_out(yaml: Yaml, place: &str) -> Result<Value> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => flag.into(),
        Yaml::Number(number) => serde_json::to_value(number).with_context(|| place.to_owned())?,
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => {
            items.into_iter().map(|item| spell_out(item, place)).collect::<Result<Vec<_>>>()?.into()
        }
        Yaml::Mapping(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                let Yaml::String(key) = key else { bail!("{place}: the key {key:?} is not a string") };
                let value = spell_out(value, &format!("{place}.{key}"))?;
                object.insert(key, value);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = tag.trim_start_matches('!');
            let function = if matches!(name, "Ref" | "Condition") { name.to_owned() } else { format!("Fn::{name}") };
            let argument = spell_out(tagged.value, place)?;
            json!({ function: argument })
        }
    })
}
