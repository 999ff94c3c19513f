//! Handles requests to classify texts.

use serde::Serialize;
use shared::config::Limits;
use shared::http::{self, Error, Request, Response};
use shared::logging::Classifier;
use shared::logging::classifier::{Texts, Verdict};

/// Dependencies of the handler, created once per sandbox.
pub struct Context {
    pub classifier: Classifier,
    pub limits: Limits,
}

#[derive(Serialize)]
struct Results {
    results: Vec<Verdict>,
}

/// Classifies the text in the body, or each of its texts in order.
pub fn handle(context: &Context, request: &Request) -> Result<Response, Error> {
    let texts = Texts::parse(request.json_body(context.limits.max_batch_bytes)?)?;
    Ok(match texts {
        Texts::One(text) => http::ok(&context.classifier.classify(&text)),
        Texts::Several(texts) => {
            http::ok(&Results { results: texts.iter().map(|text| context.classifier.classify(text)).collect() })
        }
    })
}
