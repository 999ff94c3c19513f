//! Verifies that the final anomalies are those of the stored events, for any order in which the calls of concurrent
//! requests take effect, any lost responses and any crashes.
//!
//! The code under test is `shared::integrity::pipeline::EventPipeline` itself, over in-memory tables ([`store`]) whose
//! every call waits until it is scheduled ([`scheduler`]). Around it are clients that retry when they get no response, and a
//! stream that redelivers every stored event until it is evaluated ([`world`]). A call may take effect and be answered,
//! be answered by an error and take effect at once, later or never, or lose the task that waits for it. Small cases
//! ([`small`]) are explored exhaustively, large ones ([`large`]) randomly ([`explorer`]). The outcome is compared with
//! a separate count of every window ([`reference`], [`invariants`]). A further test verifies that the tests can fail
//! ([`power`]).

mod explorer;
mod invariants;
mod large;
mod limited_key;
mod power;
mod reference;
mod rules;
mod scenario;
mod scheduler;
mod small;
mod store;
mod tables;
mod trace;
mod world;
