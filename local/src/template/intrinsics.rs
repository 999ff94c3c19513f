//! CloudFormation's intrinsic functions, as far as a local stack supports them.

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Map, Value};

use super::names::{ACCOUNT, REGION};
use super::names::{bucket_name, queue_name, table_name};

/// Resolves `!Ref`, `!GetAtt` and `!Sub` to the local names of resources, and `!If` as if its condition were false.
pub(super) struct Resolver<'a> {
    /// The section `Parameters`.
    pub parameters: &'a Map<String, Value>,
    /// The section `Resources`.
    pub resources: &'a Map<String, Value>,
    /// The endpoint of the queues, such as `http://127.0.0.1:8083`.
    pub sqs_endpoint: &'a str,
}

impl Resolver<'_> {
    /// Returns `value` with every intrinsic function resolved. Errors mention `place`.
    pub fn resolve(&self, value: &Value, place: &str) -> Result<Value> {
        match value {
            Value::Object(fields) => {
                if let Some((function, argument)) = intrinsic(fields) {
                    return self.call(function, argument).with_context(|| place.to_owned());
                }
                let mut resolved = Map::new();
                for (key, value) in fields {
                    match self.resolve(value, &format!("{place}.{key}"))? {
                        // `!Ref AWS::NoValue` removes the property.
                        Value::Null => {}
                        value => drop(resolved.insert(key.clone(), value)),
                    }
                }
                Ok(Value::Object(resolved))
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.resolve(item, &format!("{place}[{index}]")))
                .collect::<Result<_>>()
                .map(Value::Array),
            plain => Ok(plain.clone()),
        }
    }

    /// Returns `value` as text, the form of environment variables and queue attributes.
    pub fn text(&self, value: &Value, place: &str) -> Result<String> {
        match self.resolve(value, place)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            other => bail!("{place}: expected text, found {other}"),
        }
    }

    /// Returns the URL of the queue whose ARN is `value`.
    pub fn queue_url(&self, value: &Value, place: &str) -> Result<String> {
        let arn = self.text(value, place)?;
        let (_, name) = arn.rsplit_once(':').with_context(|| format!("{place}: {arn} is not an ARN"))?;
        Ok(format!("{}/{ACCOUNT}/{name}", self.sqs_endpoint))
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Value> {
        match (function, argument) {
            ("Ref", Value::String(name)) => self.reference(name),
            ("Fn::GetAtt", Value::String(path)) => self.attribute(path),
            ("Fn::GetAtt", Value::Array(parts)) => {
                let parts: Option<Vec<_>> = parts.iter().map(Value::as_str).collect();
                self.attribute(&parts.context("!GetAtt takes names")?.join("."))
            }
            ("Fn::Sub", Value::String(text)) => self.substitute(text).map(Value::String),
            // Resources that depend on a condition do not exist here.
            ("Fn::If", Value::Array(arguments)) => match &arguments[..] {
                [Value::String(_), _, otherwise] => self.resolve(otherwise, function),
                _ => bail!("!If takes a condition and two values"),
            },
            _ => Err(anyhow!(
                "{function} with {argument} cannot be answered on a laptop; !Ref, !GetAtt, !Sub and !If can"
            )),
        }
    }

    fn reference(&self, name: &str) -> Result<Value> {
        let pseudo = match name {
            "AWS::NoValue" => return Ok(Value::Null),
            "AWS::Region" => Some(REGION),
            "AWS::AccountId" => Some(ACCOUNT),
            "AWS::Partition" => Some("aws"),
            "AWS::StackName" => Some("signals"),
            "AWS::URLSuffix" => Some("amazonaws.com"),
            _ => None,
        };
        if let Some(text) = pseudo {
            return Ok(text.into());
        }
        if let Some(parameter) = self.parameters.get(name) {
            return parameter.get("Default").cloned().with_context(|| format!("the parameter {name} has no Default"));
        }
        Ok(match self.kind(name)? {
            "AWS::DynamoDB::Table" => table_name(name).into(),
            "AWS::S3::Bucket" => bucket_name(name).into(),
            "AWS::SQS::Queue" => format!("{}/{ACCOUNT}/{}", self.sqs_endpoint, queue_name(name)).into(),
            other => bail!("!Ref {name}: a {other} does not exist on a laptop"),
        })
    }

    fn attribute(&self, path: &str) -> Result<Value> {
        let (name, attribute) = path.split_once('.').context("!GetAtt takes Resource.Attribute")?;
        Ok(match (self.kind(name)?, attribute) {
            ("AWS::DynamoDB::Table", "Arn") => {
                format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{}", table_name(name)).into()
            }
            // Streams are read in this process, by table name.
            ("AWS::DynamoDB::Table", "StreamArn") => table_name(name).into(),
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{}", bucket_name(name)).into(),
            ("AWS::SQS::Queue", "Arn") => format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", queue_name(name)).into(),
            ("AWS::SQS::Queue", "QueueName") => queue_name(name).into(),
            ("AWS::SQS::Queue", "QueueUrl") => return self.reference(name),
            (kind, _) => bail!("!GetAtt {path}: this attribute of a {kind} does not exist on a laptop"),
        })
    }

    /// Replaces `${Name}` and `${Name.Attribute}`; `${!Name}` is the literal `${Name}`.
    fn substitute(&self, text: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) =
                after.split_once('}').with_context(|| format!("!Sub {text:?}: a brace is not closed"))?;
            filled.push_str(before);
            match name.strip_prefix('!') {
                Some(literal) => filled.push_str(&format!("${{{literal}}}")),
                None => {
                    let value = if name.contains('.') { self.attribute(name) } else { self.reference(name) }?;
                    filled.push_str(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str());
                }
            }
            rest = after;
        }
        Ok(filled + rest)
    }

    fn kind(&self, name: &str) -> Result<&str> {
        let resource = self.resources.get(name).with_context(|| format!("nothing is named {name} in the template"))?;
        resource.get("Type").and_then(Value::as_str).with_context(|| format!("the resource {name} has no Type"))
    }
}

/// Returns the name and argument of an intrinsic function: an object with one key that is `Ref` or begins with `Fn::`.
fn intrinsic(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (function, argument) = fields.iter().next().filter(|_| fields.len() == 1)?;
    (function == "Ref" || function == "Condition" || function.starts_with("Fn::")).then_some((function, argument))
}
