//! Handles requests to classify texts.

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response};
use shared::logging::Classifier;
use shared::logging::classifier::{Texts, Verdict};
use shared::unknown::UnknownNames;

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub classifier: Classifier,
    pub limits: Limits,
}

/// The result of the request, with the unknown fields of its body.
#[derive(Serialize)]
struct Classified<T> {
    #[serde(flatten)]
    result: T,
    #[serde(skip_serializing_if = "UnknownNames::is_empty")]
    ignored: UnknownNames,
}

#[derive(Serialize)]
struct Results {
    results: Vec<Verdict>,
}

/// Classifies the text in the body, or each of its texts in order.
pub fn handle(context: &Context, request: &Request) -> Result<Response, Error> {
    let (texts, ignored) = Texts::parse(request.json_body(context.limits.max_batch_bytes)?)?;
    Ok(match texts {
        Texts::One(text) => http::ok(&Classified { result: context.classifier.classify(&text), ignored }),
        Texts::Several(texts) => {
            let results = texts.iter().map(|text| context.classifier.classify(text)).collect();
            http::ok(&Classified { result: Results { results }, ignored })
        }
    })
}
