//! Turns in bodies that real exporters sent. The bodies are not in the repository: `SIGNALS_OTLP_BODIES` names a folder
//! with bodies and an `index.json`, which has the path and the content type of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use shared::otlp::{Encoding, Export, Limits, Options, SkipReason, read_logs, read_traces};

/// Name of a body, number of its turns, numbers of its skipped calls by reason.
type Known = (&'static str, usize, &'static [(SkipReason, u64)]);

const KNOWN: [Known; 16] = [
    ("02-official-event-logs.json", 0, &[(SkipReason::NoUser, 1)]),
    ("03-official-baggage-traces.pb", 1, &[]),
    ("04-oi-agents-traces.pb", 1, &[]),
    ("06-pyd5-traces.pb", 1, &[]),
    ("07-oll-agents-traces.pb", 0, &[(SkipReason::NoUser, 1)]),
    ("09-strands-traces.json", 1, &[]),
    ("09-strands-traces.pb", 1, &[]),
    ("11-langfuse-traces.pb.gz", 1, &[]),
    ("15-ai-sdk-7-json-traces.json.gz", 1, &[]),
    ("17-official-agent-as-tool-traces.pb", 1, &[(SkipReason::SubAgent, 1)]),
    // Four turns by one API of the SDK, and one by another.
    ("20-openllmetry-openai-4-turns-traces.pb", 5, &[]),
    ("21-openinference-openai-4-turns-traces.pb", 4, &[]),
    ("22-openinference-agents-4-turns-traces.pb", 4, &[]),
    ("23-pydantic-ai-4-turns-traces.pb", 4, &[]),
    ("29-vercel-ai6-json-4-turns-traces.json", 4, &[]),
    ("31-anthropic-sdk-no-content-traces.pb", 0, &[(SkipReason::NoUser, 4), (SkipReason::NoContent, 4)]),
];

/// Returns the results for all bodies by name.
fn exports(folder: &str) -> BTreeMap<String, Export> {
    let folder = PathBuf::from(folder);
    let index = fs::read(folder.join("index.json")).expect("index.json in SIGNALS_OTLP_BODIES");
    let index: BTreeMap<String, Value> = serde_json::from_slice(&index).expect("JSON");
    let options = Options::for_entries_of(65_536);
    let read = |(name, request): (&String, &Value)| {
        let body = fs::read(folder.join(name)).expect("the body in index.json");
        let content_type = request["content-type"].as_str().expect("a content type");
        let encoding = Encoding::from_content_type(content_type).expect("a content type of OTLP");
        let read = || match request["path"].as_str() {
            Some("/v1/logs") => read_logs(&body, encoding, Limits::default(), &options),
            _ => read_traces(&body, encoding, Limits::default(), &options),
        };
        let export = read().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read().as_ref(), Ok(&export), "{name} is not read the same twice");
        (name.clone(), export)
    };
    index.iter().map(read).collect()
}

#[test]
#[ignore = "needs SIGNALS_OTLP_BODIES, a folder with bodies that exporters sent"]
fn bodies_of_real_exporters_have_one_turn_per_text() {
    let folder = std::env::var("SIGNALS_OTLP_BODIES").expect("SIGNALS_OTLP_BODIES");
    let exports = exports(&folder);
    for (name, turn_count, skipped) in KNOWN {
        let Some(export) = exports.get(name) else { continue };
        assert_eq!(export.turns.len(), turn_count, "{name}");
        assert_eq!(export.skipped.iter().collect::<Vec<_>>(), skipped, "{name}");
    }
    for (name, export) in exports {
        let ids: BTreeSet<_> = export.turns.iter().map(|turn| turn.log_id).collect();
        let texts: BTreeSet<_> = export.turns.iter().map(|turn| &turn.user_input).collect();
        assert_eq!((ids.len(), texts.len()), (export.turns.len(), export.turns.len()), "{name} has a turn twice");
        for turn in &export.turns {
            assert!(turn.agent_output.is_some(), "{name} has no reply to {:?}", turn.user_input);
            assert!(turn.metadata.contains_key("model"), "{name} has no model");
        }
    }
}
