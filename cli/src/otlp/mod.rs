//! The subcommand `otlp doctor`: sends a probe as an exporter of OpenTelemetry does, and explains the result.
//!
//! The probe is one turn of a user with a name that nobody else has. It is sent in each form that exporters use. All
//! forms have the same ids, so the stack records one turn.

mod address;
mod explain;
mod probe;

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use http::StatusCode;
use serde_json::Value;
use shared::ids::AgentId;
use tokio::time::Instant;

use crate::client::{ApiAccess, Client, Response};
use address::Address;
use explain::Answer;
use probe::{Form, Probe};

/// The agent of the probe, unless another one is given.
const AGENT: &str = "otlp-doctor";
/// The user of the probe.
const USER: &str = "otlp-doctor";
/// The maximum time to wait for the turn. A turn waits in a queue if S3 does not respond.
const PATIENCE: Duration = Duration::from_secs(60);
/// The polling interval of the turn.
const PERIOD: Duration = Duration::from_millis(500);

/// The stack to check, as the application reaches it.
#[derive(Debug)]
pub struct Checked {
    /// The API, at the address that is checked.
    pub access: ApiAccess,
    /// The shell expression for the key in the variables to set. The key itself is not printed.
    pub key_expression: String,
    /// The way to see the calls that the stack does not record.
    pub skipped_calls: SkippedCalls,
}

/// The place where a stack reports calls of models that are not recorded.
#[derive(Debug)]
pub enum SkippedCalls {
    /// The log of the local stack's functions, at this path.
    Log(String),
    /// The metrics in CloudWatch.
    CloudWatch,
    /// Either of the two: only the address of the stack is known.
    Either,
}

impl fmt::Display for SkippedCalls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = "the metric OtlpSkipped in CloudWatch (namespace Signals), by Reason";
        match self {
            Self::Log(path) => write!(out, "grep OtlpSkipped {path}"),
            Self::CloudWatch => write!(out, "{metric}; the stack's dashboard in CloudWatch shows it"),
            Self::Either => write!(out, "{metric}; on this machine, grep OtlpSkipped .local/functions.log"),
        }
    }
}

/// Checks the stack and prints each result. Returns `true` if an application can send its traces with the printed
/// variables, and without a correction of the given address.
///
/// # Errors
/// Fails if the address is not a URL.
pub async fn doctor(checked: Checked, agent: Option<AgentId>) -> Result<bool> {
    let address = Address::parse(&checked.access.address)?;
    for mistake in &address.mistakes {
        problem("address", mistake);
    }
    let agent = match agent {
        Some(agent) => agent,
        None => AgentId::try_from(AGENT).map_err(|error| anyhow::anyhow!("the agent {AGENT}: {error}"))?,
    };
    let probe = Probe::new(&agent, USER)?;
    let mut is_well = address.mistakes.is_empty();
    let mut base = address.base.clone();
    let client = client(&checked.access, &base)?;
    let mut accepted = send_all(&client, &base, &checked.access.key, &probe).await;
    if accepted.is_err_and(|rejection| rejection.is_elsewhere)
        && let Some(other) = address.alternative()
        && is_api(&self::client(&checked.access, &other)?, &probe).await
    {
        problem("address", &format!("the API is at {other}"));
        is_well = false;
        base = other;
        accepted = send_all(&self::client(&checked.access, &base)?, &base, &checked.access.key, &probe).await;
    }
    is_well &= match accepted {
        Ok(()) => read(&self::client(&checked.access, &base)?, &probe).await?,
        Err(_) => false,
    };
    print_advice(&base, &checked);
    Ok(is_well)
}

/// A rejection that is already printed.
#[derive(Clone, Copy, Debug)]
struct Rejected {
    /// `true` if something other than the API responded.
    is_elsewhere: bool,
}

fn client(access: &ApiAccess, base: &str) -> Result<Client> {
    Client::new(&ApiAccess { address: base.to_owned(), ..access.clone() })
}

/// Sends the probe in every form. Ends at the first one that is not accepted.
async fn send_all(client: &Client, base: &str, key: &str, probe: &Probe) -> Result<(), Rejected> {
    for (index, form) in Form::ALL.into_iter().enumerate() {
        let answer = explain::answer(client.post_export(&probe.request(form)).await, form, base, key);
        match answer {
            Answer::Accepted { skipped: None } => {
                if index == 0 {
                    ok("reachable", &format!("{base}/v1/traces"));
                    ok("key", "accepted, with the scope logs:write");
                }
                ok(form.name(), "accepted");
            }
            Answer::Accepted { skipped: Some(skipped) } => {
                problem(form.name(), &explain::skipped(&skipped, probe.agent()));
                return Err(Rejected { is_elsewhere: false });
            }
            Answer::Rejected { check, reason, is_elsewhere } => {
                problem(check, &reason);
                return Err(Rejected { is_elsewhere });
            }
        }
    }
    Ok(())
}

/// Returns whether the API responds to `client`, with whatever result.
async fn is_api(client: &Client, probe: &Probe) -> bool {
    let form = Form::Protobuf;
    let response = client.post_export(&probe.request(form)).await;
    response.is_ok_and(|response| explain::is_from_api(&response, form))
}

/// Reads the turn of the probe, as soon as it is stored. Returns `false` if the turn is missing.
async fn read(client: &Client, probe: &Probe) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reason = match client.get(&probe.path(), "application/json").await {
            Ok(Response { status: StatusCode::OK, body, .. }) => {
                let entry: Value = serde_json::from_slice(&body).context("the recorded turn is not JSON")?;
                let signal = entry["detected_signal"].as_str().unwrap_or_default();
                ok(
                    "recorded",
                    &format!("one turn of the user {USER} with the agent {}, signal {signal}", probe.agent()),
                );
                return Ok(true);
            }
            Ok(Response { status: StatusCode::FORBIDDEN, .. }) => {
                print("skipped", "recorded", "the key has no scope logs:read, so this command cannot read the turn");
                return Ok(true);
            }
            Ok(response) => response.to_string(),
            Err(failure) => failure.to_string(),
        };
        if Instant::now() >= deadline {
            let seconds = PATIENCE.as_secs();
            let remedy = "the turn may wait in the queue: see \"Failures\" in docs/operations.md";
            problem("recorded", &format!("accepted, but not readable after {seconds} seconds ({reason}); {remedy}"));
            return Ok(false);
        }
        tokio::time::sleep(PERIOD).await;
    }
}

fn print_advice(base: &str, checked: &Checked) {
    println!();
    println!(
        "Set these variables where your application runs. SDKs that send gRPC unless told otherwise need the third."
    );
    println!("export OTEL_EXPORTER_OTLP_ENDPOINT={base}");
    println!("export OTEL_EXPORTER_OTLP_HEADERS=\"x-api-key={}\"", checked.key_expression);
    println!("export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf");
    println!();
    println!(
        "If turns of your application are missing, their calls were skipped, most often for want of a user or of messages."
    );
    println!(
        "Exporters rarely log the response, which names the reason. The stack counts it: {}",
        checked.skipped_calls
    );
    println!("docs/otlp.md explains each reason.");
}

fn ok(check: &str, text: &str) {
    print("ok", check, text);
}

fn problem(check: &str, text: &str) {
    print("PROBLEM", check, text);
}

fn print(outcome: &str, check: &str, text: &str) {
    println!("{outcome:8} {check:14} {text}");
}
