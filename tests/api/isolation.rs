//! The limits of a key: every route of `static/openapi.yaml` with insufficient keys, and every way to name an agent.
//!
//! [`routes`] has a row for each route. A route without a row fails the first test.

use std::collections::BTreeSet;

use futures_util::stream::{StreamExt, iter};
use http::Method;
use serde_json::{Value, json};
use shared::auth::Scope;

use crate::answer::Answer;
use crate::event_set::Stored;
use crate::keys::{expired_key, key_for, key_for_agents_with, key_with, revoked_key, unknown_key};
use crate::otlp;
use crate::pages::follow;
use crate::stack::{Stack, eventually, fresh, segment};

const JSON: (&str, &str) = ("content-type", "application/json");
const ASYNC: (&str, &str) = ("prefer", "respond-async");
const SPEC: &str = include_str!("../../static/openapi.yaml");
/// The id of an entry that does not exist.
const NO_ENTRY: &str = "019b796d-d600-7c2a-8a53-5d1c54f1a6c1";
/// The number of concurrent requests.
const PARALLEL: usize = 4;

/// The part of a request that names the agent whose data it accesses.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    /// The route is not related to agents.
    Nothing,
    /// The response lists names of agents.
    Listed,
    /// `{agent_id}` in the path.
    Path,
    /// `{agent_id}` in the path, with the id of one of the agent's entries.
    Entry,
    /// The request names no agent: the response contains what the key may access of `{user_id}`.
    User,
    /// `agent_id` in the body.
    Body,
    /// `agent_id` in each item of the body.
    Batch,
    /// `agent_id` in the arguments of a tool. The response is the tool's result or error, with status 200.
    Tool,
    /// An agent of an export. The response has a number of rejected calls.
    Export,
}

/// A route and its required scope.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: Method,
    path: &'static str,
    scope: Option<Scope>,
    names: Names,
}

/// Returns a row for each route.
pub fn routes() -> Vec<Route> {
    let row = |method, path, scope, names| Route { method, path, scope, names };
    vec![
        row(Method::POST, "/log", Some(Scope::LogsWrite), Names::Body),
        row(Method::POST, "/logs", Some(Scope::LogsWrite), Names::Batch),
        row(Method::POST, "/v1/traces", Some(Scope::LogsWrite), Names::Export),
        row(Method::POST, "/public/otel/v1/traces", Some(Scope::LogsWrite), Names::Export),
        row(Method::POST, "/v1/logs", Some(Scope::LogsWrite), Names::Export),
        row(Method::POST, "/v1/metrics", Some(Scope::LogsWrite), Names::Nothing),
        row(Method::POST, "/classify", Some(Scope::LogsWrite), Names::Nothing),
        row(Method::POST, "/mcp", Some(Scope::LogsRead), Names::Tool),
        row(Method::GET, "/mcp", Some(Scope::LogsRead), Names::Nothing),
        row(Method::DELETE, "/mcp", Some(Scope::LogsRead), Names::Nothing),
        row(Method::GET, "/agents", Some(Scope::LogsRead), Names::Listed),
        row(Method::GET, "/agents/activity", Some(Scope::LogsRead), Names::Listed),
        row(Method::GET, "/agents/{agent_id}/users", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/agents/{agent_id}/summary", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/agents/{agent_id}/activity", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/agents/{agent_id}/logs", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/agents/{agent_id}/visualize", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/logs/{agent_id}/{user_id}", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/logs/{agent_id}/{user_id}/{log_id}", Some(Scope::LogsRead), Names::Entry),
        row(Method::POST, "/logs/{agent_id}/{user_id}/{log_id}/feedback", Some(Scope::LogsWrite), Names::Entry),
        row(Method::GET, "/agents/{agent_id}/feedback", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/summary/{agent_id}/{user_id}", Some(Scope::LogsRead), Names::Path),
        row(Method::GET, "/visualize/{agent_id}/{user_id}", Some(Scope::LogsRead), Names::Path),
        row(Method::POST, "/event", Some(Scope::EventsWrite), Names::Body),
        row(Method::POST, "/events", Some(Scope::EventsWrite), Names::Batch),
        row(Method::GET, "/events/{user_id}", Some(Scope::EventsRead), Names::User),
        row(Method::GET, "/anomalies/{user_id}", Some(Scope::EventsRead), Names::User),
        row(Method::GET, "/health", None, Names::Nothing),
    ]
}

impl Route {
    /// Returns whether the route only says that its method is not allowed.
    pub fn is_refused(&self) -> bool {
        self.path == "/mcp" && self.method != Method::POST
    }

    /// Returns the path for an agent and a user, which are inserted unchanged, and for an entry that does not exist.
    pub fn path(&self, agent: &str, user: &str) -> String {
        self.path.replace("{agent_id}", agent).replace("{user_id}", user).replace("{log_id}", NO_ENTRY)
    }

    /// Returns a valid body for an agent, or an empty body if the route accepts none.
    pub fn body(&self, agent: &str, user: &str) -> String {
        match self.path {
            "/log" => interaction(agent, user, "hi").to_string(),
            "/logs" => json!([interaction(agent, user, "hi")]).to_string(),
            "/v1/traces" | "/public/otel/v1/traces" => otlp::traces(agent, user, &["hi"]).to_string(),
            "/v1/logs" => otlp::logs(agent, user, &["hi"]).to_string(),
            "/v1/metrics" => json!({"resourceMetrics": []}).to_string(),
            "/classify" => json!({"text": "hi"}).to_string(),
            "/logs/{agent_id}/{user_id}/{log_id}/feedback" => json!({"signal": "neutral"}).to_string(),
            "/mcp" if self.names == Names::Tool => tool_call(agent, user).to_string(),
            "/event" => event(agent, user).to_string(),
            "/events" => json!([event(agent, user)]).to_string(),
            _ => String::new(),
        }
    }

    /// Sends a valid request for an agent and a user, with additional `headers`.
    async fn send(&self, stack: &Stack, agent: &str, user: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = [&[JSON], headers].concat();
        let path = self.path(&segment(agent), &segment(user));
        stack.send(self.method.clone(), &path, &headers, self.body(agent, user)).await
    }

    /// Returns whether the clients of the route can also send the key in `Authorization`.
    fn reads_authorization(&self) -> bool {
        self.path.contains("/v1/") || self.path == "/mcp"
    }

    /// Returns whether the route has a parameter `cursor` in the specification.
    fn has_cursor(&self) -> bool {
        let spec = spec();
        let parameters = spec["paths"][self.path][self.method.as_str().to_lowercase()]["parameters"].clone();
        let parameters = parameters.as_array().cloned().unwrap_or_default();
        parameters.iter().any(|parameter| parameter["$ref"].as_str().is_some_and(|name| name.ends_with("Cursor")))
    }
}

fn spec() -> Value {
    serde_yaml_ng::from_str(SPEC).expect("a specification")
}

fn interaction(agent: &str, user: &str, text: &str) -> Value {
    json!({"agent_id": agent, "user_id": user, "user_input": text})
}

fn tool_call(agent: &str, user: &str) -> Value {
    let arguments = json!({"agent_id": agent, "user_id": user});
    let params = json!({"name": "read_conversation", "arguments": arguments});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
}

fn event(agent: &str, user: &str) -> Value {
    let mut event = Stored::new(fresh("event"), "x", 0);
    event.agent = agent.to_owned();
    event.body(user)
}

/// Two agents with data of one user: `own`, and `other`, whose data contains the texts `marks`.
///
/// The names are the two normal forms of one text, so that a stack that normalises names fails.
struct Neighbours {
    stack: Stack,
    own: String,
    other: String,
    user: String,
    marks: [String; 3],
    /// The stack, called with a key for `own` with every scope.
    limited: Stack,
    /// The stack, called with a key for `other` with every scope.
    owner: Stack,
}

impl Neighbours {
    async fn settle() -> Self {
        let stack = Stack::connect();
        let name = fresh("agen");
        let (own, other) = (format!("{name} e\u{301}"), format!("{name} \u{e9}"));
        let limited = stack.with_key(key_for(&[&own]).await);
        let owner = stack.with_key(key_for(&[&other]).await);
        let marks = [fresh("text"), format!("s{}", &fresh("")[20..]), fresh("id")];
        let neighbours = Self { stack, own, other, user: fresh("shared user"), marks, limited, owner };
        neighbours.fill(&neighbours.own, &["own", "own", "own"]).await;
        let marks = neighbours.marks.each_ref().map(String::as_str);
        neighbours.fill(&neighbours.other, &marks).await;
        for agent in [&neighbours.own, &neighbours.other] {
            neighbours.stack.wait_until_counted(agent, "", 2).await;
        }
        neighbours
    }

    /// Stores two interactions with feedback, and twelve events, two of which are anomalies. The events are a day apart from the
    /// events of the other agent.
    async fn fill(&self, agent: &str, [text, signal, id]: &[&str; 3]) {
        for index in 0..2 {
            let mut interaction = interaction(agent, &self.user, &format!("{text} {index}"));
            interaction["detected_signal"] = json!(signal);
            let entry = self.stack.log(&interaction).await;
            let id = entry["log_id"].as_str().expect("an id");
            self.stack.post_feedback(agent, &self.user, id, &json!({"signal": signal})).await.ok();
        }
        // Lists follow feedback with a short delay.
        eventually("the feedback is listed", async || {
            let listed = self.stack.get_feedback(agent, "").await.ok()["feedback"].clone();
            (listed.as_array().map(Vec::len) == Some(2)).then_some(())
        })
        .await;
        let day = if agent == self.own { 0 } else { 24 * 3_600 * crate::events::SECOND };
        let events: Vec<_> = (0..12)
            .map(|index| {
                let mut stored = Stored::new(format!("{id} {index:02}"), signal, day + index);
                stored.agent = agent.to_owned();
                let mut event = stored.body(&self.user);
                event["payload"] = json!({ "text": text });
                event
            })
            .collect();
        self.stack.store_events(&events).await;
    }

    /// Checks that a response contains nothing of the other agent.
    #[track_caller]
    fn assert_hidden(&self, answer: &Answer) {
        let is_shown = self.marks.iter().any(|mark| answer.contains(mark));
        answer.check(!is_shown, "nothing of the other agent");
    }

    /// Checks that a route shows data of the other agent to that agent's key.
    #[track_caller]
    fn assert_shown(&self, route: &Route, answer: &Answer) {
        let is_shown = match route.path {
            "/agents" | "/agents/activity" => answer.contains(&self.other),
            "/agents/{agent_id}/users" => answer.contains(&self.user),
            _ => self.marks.iter().any(|mark| answer.contains(mark)),
        };
        answer.check(is_shown, "the data of the agent, to the key for the agent");
    }

    /// Returns all stored data of the other agent.
    async fn stored(&self) -> Value {
        let logs = self.owner.get_logs_where(&self.other, &self.user, "limit=100").await.ok();
        let feedback = self.owner.get_feedback(&self.other, "").await.ok();
        let events = follow("limit=100", async |query| self.owner.get_events_where(&self.user, query).await).await;
        let anomalies =
            follow("limit=100", async |query| self.owner.get_anomalies_where(&self.user, query).await).await;
        json!([logs, events.concat(), anomalies.concat(), feedback])
    }
}

/// Percent-encodes each byte of `text`.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Returns spellings of a path segment that name `agent`.
fn spellings(agent: &str) -> Vec<String> {
    let once = encoded(agent);
    let twice = once.replace('%', "%25");
    let thrice = twice.replace('%', "%25");
    vec![segment(agent), once.to_uppercase(), once, twice, thrice]
}

/// Returns segments that a careless path parser could mistake for `agent`.
fn near_spellings(agent: &str, own: &str) -> Vec<String> {
    let (name, own) = (segment(agent), segment(own));
    let mut near = vec![
        format!("{name}%20"),
        format!("%20{name}"),
        format!("{name}."),
        format!("{name}%00"),
        format!("{name};{own}"),
        format!("{own};{name}"),
        format!("{own},{name}"),
        format!("{own}%2F..%2F{name}"),
        format!("{own}%252F..%252F{name}"),
        format!("..%2Flogs%2F{name}"),
        format!("{own}%5C..%5C{name}"),
        format!("{name}%EF%BB%BF"),
        format!("{name}%E2%80%8B"),
        format!("{name}%C0%AE"),
        segment(&agent.to_uppercase()),
        "*".to_owned(),
    ];
    near.extend(spellings(&agent.to_uppercase()));
    near
}

#[test]
fn every_route_of_the_specification_has_a_row() {
    let spec = spec();
    let mut documented = BTreeSet::new();
    for (path, operations) in spec["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let scope = operation["security"][0]["apiKey"][0].as_str();
            documented.insert((method.to_uppercase(), path.clone(), scope.map(str::to_owned)));
        }
    }
    let rows = routes().into_iter().map(|route| {
        (route.method.to_string(), route.path.to_owned(), route.scope.map(|scope| scope.name().to_owned()))
    });
    assert_eq!(rows.collect::<BTreeSet<_>>(), documented);
}

#[tokio::test]
async fn every_route_refuses_a_caller_without_a_valid_key() {
    let stack = Stack::connect();
    let mut callers = vec![stack.without_key()];
    for key in [unknown_key(), revoked_key().await, expired_key().await] {
        callers.push(stack.with_key(key));
    }
    let valid = key_with(&Scope::ALL).await;
    for key in ["", "sig_", "*", "Bearer", &valid.to_lowercase(), &format!("{valid} "), &format!("{valid},{valid}")] {
        // The HTTP client removes the space at the end of a header, as a proxy does.
        if key.trim() != valid {
            callers.push(stack.with_key(key));
        }
    }
    for (route, caller) in routes().iter().flat_map(|route| callers.iter().map(move |caller| (route, caller))) {
        let answer = route.send(caller, "agent", &fresh("user"), &[]).await;
        match route.scope {
            Some(_) => answer.expect(401, &json!({"detail": "Unauthorized"})),
            None => answer.check(answer.status() == 200 || answer.status() == 503, "no key to be needed"),
        }
    }
}

#[tokio::test]
async fn every_route_reads_the_key_from_its_header_alone() {
    let stranger = Stack::connect().without_key();
    let key = key_with(&Scope::ALL).await;
    let (bearer, cookie) = (format!("Bearer {key}"), format!("X-API-Key={key}; x-api-key={key}"));
    for route in routes().iter().filter(|route| route.scope.is_some()) {
        for header in [("authorization", bearer.as_str()), ("cookie", &cookie), ("x-api-token", &key)] {
            let answer = route.send(&stranger, "agent", "user", &[header]).await;
            if header.0 == "authorization" && route.reads_authorization() {
                answer.check(matches!(answer.status(), 200 | 405), "the clients to be allowed this header");
            } else {
                answer.expect(401, &json!({"detail": "Unauthorized"}));
            }
        }
        let path = format!("{}?X-API-Key={key}&x-api-key={key}&api_key={key}", route.path("agent", "user"));
        let answer = stranger.send(route.method.clone(), &path, &[JSON], route.body("agent", "user")).await;
        answer.expect(401, &json!({"detail": "Unauthorized"}));
    }
}

#[tokio::test]
async fn every_route_requires_its_scope_for_keys_of_any_agents() {
    let stack = Stack::connect();
    let agent = fresh("agent");
    for scope in Scope::ALL {
        let others: Vec<_> = Scope::ALL.into_iter().filter(|other| *other != scope).collect();
        for key in [key_with(&others).await, key_for_agents_with(&others, &[&agent]).await] {
            let caller = stack.with_key(key);
            for route in routes().iter().filter(|route| route.scope == Some(scope)) {
                let answer = route.send(&caller, &agent, &fresh("user"), &[]).await;
                answer.expect(403, &json!({"detail": "Forbidden"}));
            }
        }
    }
}

#[tokio::test]
async fn agent_in_a_path_opens_to_its_own_key_alone() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, user, limited, owner, .. } = &neighbours;
    for route in routes().iter().filter(|route| route.names == Names::Path) {
        let get = async |caller: &Stack, agent: &str| {
            let headers = [("accept", "image/svg+xml")];
            caller.send(route.method.clone(), &route.path(agent, &segment(user)), &headers, "").await
        };
        for spelling in spellings(other) {
            get(limited, &spelling).await.expect(403, &json!({"detail": "Forbidden"}));
            neighbours.assert_shown(route, &get(owner, &spelling).await);
        }
        for spelling in near_spellings(other, own) {
            let answer = get(limited, &spelling).await;
            answer.check(matches!(answer.status(), 403 | 404 | 422), "a refusal");
            neighbours.assert_hidden(&answer);
        }
        for spelling in spellings(own) {
            let answer = get(limited, &spelling).await;
            answer.check(answer.status() == 200, "the key to open its own agent");
            neighbours.assert_hidden(&answer);
        }
    }
}

#[tokio::test]
async fn entry_opens_to_the_key_of_its_own_agent_alone() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, user, limited, owner, .. } = &neighbours;
    let entry_of = async |caller: &Stack, agent: &str| {
        let entries = caller.get_logs_where(agent, user, "limit=1").await.list();
        entries[0]["log_id"].as_str().expect("an id").to_owned()
    };
    let (own_id, other_id) = (entry_of(limited, own).await, entry_of(owner, other).await);
    let get = async |caller: &Stack, agent: &str, id: &str| {
        caller.get(&format!("/logs/{agent}/{}/{id}", segment(user))).await
    };
    let before = neighbours.stored().await;
    let give = async |agent: &str, id: &str| {
        let path = format!("/logs/{agent}/{}/{id}/feedback", segment(user));
        limited.post(&path, json!({"signal": "uncertain"}).to_string()).await
    };
    for spelling in spellings(other) {
        for id in [other_id.as_str(), &own_id, NO_ENTRY] {
            get(limited, &spelling, id).await.expect(403, &json!({"detail": "Forbidden"}));
            give(&spelling, id).await.expect(403, &json!({"detail": "Forbidden"}));
        }
        let shown = get(owner, &spelling, &other_id).await;
        shown.check(shown.ok()["log_id"] == other_id.as_str(), "the entry, to the key for its agent");
    }
    for spelling in near_spellings(other, own) {
        for answer in [get(limited, &spelling, &other_id).await, give(&spelling, &other_id).await] {
            answer.check(matches!(answer.status(), 403 | 404 | 422), "a refusal");
            neighbours.assert_hidden(&answer);
        }
    }
    for spelling in spellings(own) {
        get(limited, &spelling, &own_id).await.ok();
        // The id of another agent's entry names nothing among the key's own entries.
        for answer in [get(limited, &spelling, &other_id).await, give(&spelling, &other_id).await] {
            answer.check(answer.status() == 404, "no entry");
        }
    }
    assert_eq!(neighbours.stored().await, before, "nothing of forbidden feedback is stored");
    // A tag of the entry's content opens nothing either.
    let tag = get(owner, &segment(other), &other_id).await.header("etag").to_owned();
    let path = format!("/logs/{}/{}/{other_id}", segment(other), segment(user));
    for tag in [tag.as_str(), "*"] {
        let answer = limited.send(Method::GET, &path, &[("if-none-match", tag)], "").await;
        answer.expect(403, &json!({"detail": "Forbidden"}));
    }
}

#[tokio::test]
async fn agent_in_a_query_or_a_header_opens_nothing() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, user, limited, .. } = &neighbours;
    let before = neighbours.stored().await;
    let name = segment(other);
    let (url, url_of_logs) = (format!("/agents/{name}/users"), format!("/logs/{name}/{}", segment(user)));
    let headers = [
        ("x-agent-id", name.as_str()),
        ("agent-id", &name),
        ("x-original-url", &url),
        ("x-rewrite-url", &url_of_logs),
        ("x-forwarded-uri", &url_of_logs),
        ("x-http-method-override", "GET"),
        ("x-amzn-request-context", r#"{"authorizer":{"agents":["*"]}}"#),
    ];
    let query = format!("agent_id={name}&agent={name}&agents={name}&agents=*&agent_id[]={name}");
    for route in &routes() {
        let path = route.path(&segment(own), &segment(user));
        for (path, headers) in [(format!("{path}?{query}"), &headers[..0]), (path.clone(), &headers[..])] {
            let headers = [&[JSON], headers].concat();
            let answer = limited.send(route.method.clone(), &path, &headers, route.body(own, user)).await;
            let is_absent = route.names == Names::Entry && answer.status() == 404;
            let is_answered =
                matches!(answer.status(), 200 | 202 | 207 | 422) || route.names == Names::Nothing || is_absent;
            answer.check(is_answered, "the answer about the key's own agent, or a refusal of the parameter");
            neighbours.assert_hidden(&answer);
            // A refusal repeats the parameter.
            let is_repeated = route.names != Names::Listed || answer.status() == 422;
            answer.check(is_repeated || !answer.contains(other), "the key's own agent alone");
        }
    }
    assert_eq!(neighbours.stored().await, before);
}

#[tokio::test]
async fn prefix_and_list_name_only_agents_of_the_key() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, limited, owner, .. } = &neighbours;
    let stem = segment(own.split(' ').next().expect("a stem"));
    for query in [String::new(), format!("prefix={stem}"), format!("prefix={}", segment(other)), "prefix=*".to_owned()]
    {
        let pages = follow(&query, async |query| limited.get_agents_where(query).await).await.concat();
        let expected: &[Value] = if query.is_empty() || query.ends_with(&stem) { &[json!(own)] } else { &[] };
        assert_eq!(pages, expected, "{query}");
        let pages = follow(&query, async |query| limited.get_activity_where(query).await).await.concat();
        let names: Vec<_> = pages.iter().map(|row| row["agent_id"].clone()).collect();
        assert_eq!(names, expected, "{query}");
    }
    let pages = follow(&format!("prefix={stem}"), async |query| owner.get_agents_where(query).await).await.concat();
    assert_eq!(pages, [json!(other)]);
}

#[tokio::test]
async fn agent_in_a_body_is_written_by_its_own_key_alone() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, user, limited, .. } = &neighbours;
    let before = neighbours.stored().await;
    let escaped: String = other.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    for route in routes().iter().filter(|route| matches!(route.names, Names::Body | Names::Batch)) {
        let valid = route.body(other, user);
        let (name, own_name) = (json!(other).to_string(), json!(own).to_string());
        let field = format!("\"agent_id\":{name}");
        assert!(valid.contains(&field), "{valid}");
        let spelled = [
            valid.clone(),
            valid.replace(&name, &format!("\"{escaped}\"")),
            valid.replace(&field, &format!("\"agent\\u005fid\":{name}")),
            // Of two fields with the same name, the last one counts.
            valid.replace(&field, &format!("\"agent_id\":{own_name},{field}")),
            valid.replace(&field, &format!("\"agent_id\":{own_name},\"agent\\u005fid\":{name}")),
        ];
        for (body, headers) in spelled.iter().flat_map(|body| [(body, vec![JSON]), (body, vec![JSON, ASYNC])]) {
            let answer = limited.send(route.method.clone(), route.path, &headers, body.clone()).await;
            assert_forbidden(route, &answer);
        }
        let not_names = [format!("[{name}]"), format!("{{\"agent_id\":{name}}}"), format!("[{own_name},{name}]")];
        for body in not_names.map(|value| valid.replace(&name, &value)) {
            let answer = limited.send(route.method.clone(), route.path, &[JSON], body).await;
            let is_refused = match route.names {
                Names::Batch => answer.results(1)[0]["status"] == "invalid",
                _ => answer.status() == 422,
            };
            answer.check(is_refused, "a name that is not a string to be invalid");
        }
    }
    assert_eq!(neighbours.stored().await, before, "nothing of a forbidden request is stored");
}

#[tokio::test]
async fn agent_of_a_tool_opens_to_its_own_key_alone() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, user, limited, owner, .. } = &neighbours;
    for tool in ["who_is_stressed", "mood_summary", "read_conversation", "find_interactions"] {
        let mut arguments = json!({"agent_id": other});
        if tool == "read_conversation" {
            arguments["user_id"] = json!(user);
        }
        let answer = limited.call_tool(tool, &arguments).await;
        answer.check(answer.ok()["result"]["isError"] == true, "a refusal");
        neighbours.assert_hidden(&answer);
        let answer = owner.call_tool(tool, &arguments).await;
        let is_shown = tool == "who_is_stressed" || neighbours.marks.iter().any(|mark| answer.contains(mark));
        answer.check(is_shown, "the data of the agent, to the key for the agent");
        arguments["agent_id"] = json!(own);
        let answer = limited.call_tool(tool, &arguments).await;
        answer.check(answer.ok()["result"]["isError"] == false, "the key to open its own agent");
        neighbours.assert_hidden(&answer);
    }
    let answer = limited.call_tool("list_anomalies", &json!({"user_id": user})).await;
    let rows = answer.ok()["result"]["structuredContent"]["anomalies"].clone();
    let rows = rows.as_array().expect("rows");
    answer.check(!rows.is_empty() && rows.iter().all(|row| row["agent_id"] == **own), "the key's own agent");
    neighbours.assert_hidden(&answer);
}

#[tokio::test]
async fn agent_of_an_export_is_written_by_its_own_key_alone() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, user, limited, .. } = &neighbours;
    let before = neighbours.stored().await;
    for route in routes().iter().filter(|route| route.names == Names::Export) {
        let answer = route.send(limited, other, user, &[]).await;
        let partial = answer.ok()["partialSuccess"].clone();
        let rejected = if route.path == "/v1/logs" { "rejectedLogRecords" } else { "rejectedSpans" };
        answer.check(partial[rejected] == "1", "the call to be rejected");
        answer.check(partial["errorMessage"].as_str().is_some_and(|text| text.contains("forbidden")), "the reason");
        neighbours.assert_hidden(&answer);
        route.send(limited, own, user, &[]).await.expect(200, &json!({}));
    }
    assert_eq!(neighbours.stored().await, before, "nothing of a forbidden export is stored");
}

#[track_caller]
fn assert_forbidden(route: &Route, answer: &Answer) {
    let forbidden = json!({"status": "forbidden", "detail": "Forbidden"});
    match (route.names, answer.status()) {
        (Names::Batch, 202) => answer.expect(202, &json!({ "results": [forbidden] })),
        (Names::Batch, _) => answer.expect(207, &json!({ "results": [forbidden] })),
        _ => answer.expect(403, &json!({"detail": "Forbidden"})),
    }
}

#[tokio::test]
async fn batch_stores_the_items_of_the_keys_own_agent_alone() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, other, user, limited, .. } = &neighbours;
    let before = neighbours.stored().await;
    // The ids of the other agent's events cause neither conflicts nor duplicates, because ids are scoped to an agent.
    let taken: Vec<_> = before[1].as_array().expect("events").iter().take(3).cloned().collect();
    let mut batch = Vec::new();
    for (agent, stored) in [own, other, own].into_iter().zip(&taken) {
        let mut event = event(agent, user);
        event["event_id"] = stored["event_id"].clone();
        event["timestamp"] = stored["timestamp"].clone();
        batch.push(event);
    }
    for headers in [vec![JSON], vec![JSON, ASYNC]] {
        let answer = limited.send(Method::POST, "/events", &headers, json!(batch).to_string()).await;
        let results = answer.json(answer.status())["results"].clone();
        answer.check(results[1] == json!({"status": "forbidden", "detail": "Forbidden"}), "the second to be forbidden");
        for index in [0, 2] {
            let status = results[index]["status"].as_str().unwrap_or_default();
            answer.check(["ingested", "queued", "duplicate"].contains(&status), "the others to be accepted");
            limited.wait_until_stored(&batch[index], &batch[index]["event_id"]).await;
        }
    }
    let after = neighbours.stored().await;
    assert_eq!((&after[0], &after[1]), (&before[0], &before[1]));
}

#[tokio::test]
async fn user_in_a_path_shows_what_the_key_may_see() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, user, limited, owner, .. } = &neighbours;
    for route in routes().iter().filter(|route| route.names == Names::User) {
        for spelling in spellings(user) {
            let path = route.path("", &spelling);
            neighbours.assert_shown(route, &owner.get(&path).await);
            let answer = limited.get(&path).await;
            neighbours.assert_hidden(&answer);
            let items = answer.list();
            answer
                .check(!items.is_empty() && items.iter().all(|item| item["agent_id"] == **own), "the key's own agent");
        }
        let queries =
            ["limit=1", "limit=100", "since=2020-01-01", "until=2030-01-01", "group=episode", "severity=warning"];
        for query in queries.iter().filter(|query| route.path.contains("anomalies") || !query.contains(['g', 'v'])) {
            let get = async |query: &str| limited.get(&format!("{}?{query}", route.path("", &segment(user)))).await;
            let pages = follow(query, get).await;
            let shown = json!(pages).to_string();
            assert!(neighbours.marks.iter().all(|mark| !shown.contains(mark.as_str())), "{query}: {shown}");
        }
    }
    // A filter that matches only data of the other agent.
    let query = format!("signal_type={}", neighbours.marks[1]);
    limited.get_events_where(user, &query).await.expect(200, &json!([]));
    owner.get_events_where(user, &query).await.list().first().expect("an event of the other agent");
}

#[tokio::test]
async fn cursor_of_another_key_shows_nothing_of_its_agents() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { stack, own, other, user, limited, .. } = &neighbours;
    // A second agent and a second user, so that every list of the owner has a second page.
    let another = fresh("agent");
    let owner = stack.with_key(key_for(&[other, &another]).await);
    stack.log(&interaction(&another, user, "hi")).await;
    stack.log(&interaction(other, &fresh("user"), "hi")).await;
    let routes: Vec<_> = routes().into_iter().filter(Route::has_cursor).collect();
    let mut linked = Vec::new();
    for route in &routes {
        let path = |agent: &str| route.path(&segment(agent), &segment(user));
        let first = owner.get(&format!("{}?limit=1", path(other))).await;
        // Counts have a second page only above some 20,000 entries.
        let link = first.next_page().map(str::to_owned);
        linked.extend(link.is_some().then_some(route));
        let forged = segment(&format!("2030-01-01T00:00:00.000000Z#{other}#id"));
        let forged_name = segment(&format!("{other}\u{0}"));
        let forged = [format!("cursor={forged}"), format!("cursor=9~{forged}"), format!("cursor={forged_name}")];
        for query in link.into_iter().chain(forged) {
            let answer = limited.get(&format!("{}?{query}", path(own))).await;
            answer.check(answer.status() == 200 || answer.status() == 422, "a page, or a refusal of the cursor");
            neighbours.assert_hidden(&answer);
            if let (200, Names::Listed) = (answer.status(), route.names) {
                let is_own = |row: &Value| row == own || row["agent_id"] == **own;
                answer.check(answer.list().iter().all(is_own), "the key's own agent alone");
            }
        }
    }
    assert!(linked.len() >= 5, "{linked:?}");
}

#[tokio::test]
async fn identity_of_an_event_is_its_agents_own() {
    let neighbours = Neighbours::settle().await;
    let Neighbours { own, user, limited, .. } = &neighbours;
    let before = neighbours.stored().await;
    let taken = before[1].as_array().expect("events").clone();
    let outcomes = iter(&taken).map(async |stored| {
        let mut event = event(own, user);
        event["timestamp"] = stored["timestamp"].clone();
        event.as_object_mut().and_then(|fields| fields.remove("event_id"));
        let id = stored["event_id"].as_str().expect("an id");
        limited.send(Method::POST, "/event", &[JSON, ("idempotency-key", id)], event.to_string()).await
    });
    for answer in outcomes.buffer_unordered(PARALLEL).collect::<Vec<_>>().await {
        let status = answer.status();
        let is_new = status == 202 || status == 200 && answer.ok().get("duplicate").is_none();
        answer.check(is_new, "neither a duplicate nor a conflict");
        neighbours.assert_own_anomaly(&answer);
    }
    assert_eq!(neighbours.stored().await[1], before[1]);
}

impl Neighbours {
    /// Checks that an anomaly in the response to an event belongs to the key's own agent.
    #[track_caller]
    fn assert_own_anomaly(&self, answer: &Answer) {
        if answer.status() == 200 {
            let anomaly = answer.ok()["anomaly"].clone();
            answer.check(anomaly.is_null() || anomaly["agent_id"] == *self.own, "an anomaly of the key's own agent");
        }
    }
}
