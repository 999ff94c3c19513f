//! Whatever the order in which the calls of concurrent requests take effect, whichever answers get lost and whoever dies:
//! in the end the anomalies are those of the events stored.
//!
//! The code under test is `shared::integrity::ingest::Monitor` itself, over tables in memory ([`store`]) whose every call
//! waits until it is chosen ([`scheduler`]). Around it are clients that send again when they get no answer, and a stream
//! that tells of every event stored until it is judged ([`world`]). A call may take effect and be answered, be answered
//! by an error and take effect at once, later or never, or lose the task that waits for it. Small cases ([`small`]) are
//! gone through to the last schedule, large ones ([`large`]) by lot ([`explorer`]). The outcome is compared with that of
//! counting every window by itself ([`reference`], [`judgement`]). That the tests can fail is a test, too ([`power`]).

mod explorer;
mod judgement;
mod large;
mod limited_key;
mod power;
mod reference;
mod rules;
mod scenario;
mod scheduler;
mod small;
mod store;
mod trace;
mod world;
