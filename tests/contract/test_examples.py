"""Every example in the document matches the stack's behaviour.

Each request example is sent, and the response must equal the response example of the same name. If there is no request of that name,
the query is in the example's summary (With `?…`), or the example's name selects a situation. Ids and server times are compared only
by format. Each run uses its own users and agents, so the tests run against any stack.
"""

import csv
import io
import json
import re
import time
import uuid

import pytest

from contract import check, examples, faults, label, operations, resolve, response, scope
from stack import SCOPES, key_with, send

# Responses that a test cannot cause from outside. Only their schema is checked.
NOT_REPRODUCIBLE = {"outage", "throttled", "failed"}
# The id of the entry in the examples.
LOG_ID = "019b796d-d600-7c2a-8a53-5d1c54f1a6c1"
# Operations whose examples need an entry. Each example has its own.
PREPARED = {"postFeedback"}
# Events in the window before an anomaly.
THRESHOLD = 10
# The longest wait for a condition, and the interval at which the condition is checked.
PATIENCE_SECONDS, PERIOD_SECONDS = 240, 0.1
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SERVER_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Names:
    """Replaces the agent and the users in the examples by unique names."""

    def __init__(self):
        self.suffix = f"-{uuid.uuid4().hex[:12]}"

    def out(self, text):
        return re.sub(r"\b(support|maria|paul)\b", rf"\1{self.suffix}", text)

    def back(self, text):
        return text.replace(self.suffix, "")


def request_media(operation):
    return operation.get("requestBody", {}).get("content", {})


def request_examples(operation):
    """Returns (content type, example's name, body as text) of the request examples."""
    return [
        (kind, name, value if isinstance(value := example["value"], str) else json.dumps(value))
        for kind, media in request_media(operation).items()
        for name, example in examples(media).items()
    ]


def path_with_names(path, names):
    path = path.replace("{agent_id}", "support").replace("{user_id}", "maria").replace("{log_id}", LOG_ID)
    return names.out(path)


def send_example(method, path, body, kind, names, *, query="", headers=None, **more):
    headers = {**({"content-type": kind} if kind else {}), **(headers or {})}
    data = names.out(body).encode() if body else None
    return send(method, path_with_names(path, names) + names.out(query), data=data, headers=headers, **more)


def settled(value, field=None):
    """Returns `value` with placeholders for parts that differ between runs."""
    match value:
        case {"score": _, "matched": _, "version": _, **rest}:
            # The weights depend on the lexicon.
            return settled(rest)
        case dict():
            return {name: settled(item, name) for name, item in value.items()}
        case list():
            return [settled(item) for item in value]
        case str() if field == "given_by":
            return "the name of a key"
        case str() if field in ("received_at", "given_at") or SERVER_TIME.fullmatch(value):
            return "a server time"
        case str() if UUID.fullmatch(value):
            return "an id"
        case int() if field == "skew_ms":
            return "milliseconds"
    return value


def assert_as_documented(operation, answer, names, status, expected):
    body = json.loads(names.back(answer.text))
    assert answer.status_code == int(status), body
    check(operation, answer.status_code, answer.headers, body)
    assert settled(body) == settled(expected)


@pytest.fixture(scope="module")
def names():
    return Names()


@pytest.fixture(scope="module")
def sent(names):
    """Sends every request of the document once, in order, and returns the responses."""
    answers = {}
    for method, path, operation in operations():
        for kind, name, body in request_examples(operation):
            if operation["operationId"] in PREPARED:
                continue
            if name == "one_too_many":
                ordinary = next(body for _, name, body in request_examples(operation) if name == "ordinary")
                for _ in range(THRESHOLD - 1):
                    assert send_example(method, path, ordinary, kind, names).status_code == 200
            answers[operation["operationId"], name] = send_example(method, path, body, kind, names)
    return answers


def response_examples():
    for method, path, operation in operations():
        for status in operation["responses"]:
            media = response(operation, status).get("content", {}).get("application/json", {})
            for name, example in examples(media).items():
                title = f"{operation['operationId']}-{status}-{name}"
                yield pytest.param(method, path, operation, status, name, example, id=title)


@pytest.mark.parametrize(("method", "path", "operation", "status", "name", "example"), list(response_examples()))
def test_example_matches_the_response(method, path, operation, status, name, example, names, sent):
    schema = response(operation, status)["content"]["application/json"]["schema"]
    assert faults(example["value"], schema) == []
    if name in NOT_REPRODUCIBLE:
        return
    if (operation["operationId"], name) in sent:
        answer = sent[operation["operationId"], name]
    else:
        names = Names() if name in SITUATIONS else names
        situation = SITUATIONS[name](operation, names) if name in SITUATIONS else {}
        query = re.search(r"With `(\?[^`]*)`", example.get("summary", ""))
        kind, _, body = next(iter(request_examples(operation)), (None, None, None))
        request = {"body": body, "kind": kind, "query": query[1] if query else "", **situation}
        answer = send_example(method, path, names=names, **request)
    assert_as_documented(operation, answer, names, status, example["value"])


def too_large(operation, _):
    """Returns a body one byte longer than the limit in the example."""
    status = response(operation, 413)
    body = examples(status["content"]["application/json"])["too_large"]["value"]
    limit = re.search(r"\d+", body["message" if "message" in body else "detail"])
    return {"body": " " * (int(limit[0]) + 1)}


def conflicting(*_):
    """Stores an interaction, and returns a different one with the same id."""
    log_id = "019b76da-a800-7d1e-9c6b-0a4f5e8b7c21"
    interaction = {"agent_id": f"agent-{uuid.uuid4()}", "user_id": "someone", "user_input": "Hello", "log_id": log_id}
    first = send("post", "/log", data=json.dumps(interaction), headers={"content-type": "application/json"})
    assert first.status_code == 200, first.text
    return {"body": json.dumps({**interaction, "user_input": "Goodbye"})}


def stored(_, names):
    """Stores the entry of the example of `getLog`."""
    (operation,) = [one for _, _, one in operations() if one["operationId"] == "getLog"]
    entry = response(operation, 200)["content"]["application/json"]["examples"]["entry"]["value"]
    sent = {field: value for field, value in entry.items() if field not in ("v", "classification")}
    answer = send("post", "/log", data=names.out(json.dumps(sent)), headers={"content-type": "application/json"})
    assert answer.status_code == 200 and "ignored" not in answer.json(), answer.text
    return {}


def counted(_, names):
    """Stores two interactions of one hour, and waits until they are counted."""
    eventually("a minute of the hour is left", lambda: time.time() % 3600 < 3540)
    for user, text, signal in (("maria", "I have asked three times now.", "stressed"), ("paul", "Thanks", "positive")):
        interaction = {"agent_id": "support", "user_id": user, "user_input": text, "detected_signal": signal}
        answer = send("post", "/log", data=names.out(json.dumps(interaction)), headers={"content-type": "application/json"})
        # A busy stack queues the interaction.
        assert answer.status_code in (200, 202), answer.text
    path = names.out("/agents/support/summary")
    eventually("both are counted", lambda: send("get", path).json()["counts"] == {"positive": 1, "stressed": 1})
    return {}


def eventually(what, condition):
    """Waits until `condition` returns true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"in vain: {what}"
        time.sleep(PERIOD_SECONDS)


def rated(name):
    """Returns a situation with an entry and the request example `name`."""

    def prepare(operation, names):
        stored(operation, names)
        bodies = {example: body for _, example, body in request_examples(operation)}
        return {"body": bodies[name]}

    return prepare


def given_feedback(_, names):
    """Gives the feedback of the example, and waits until it is listed."""
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == "postFeedback")
    body = rated("corrected")(operation, names)["body"]
    assert send_example(method, path, body, "application/json", names).status_code == 200
    deadline = time.monotonic() + 120
    while not send("get", names.out("/agents/support/feedback")).json()["feedback"]:
        assert time.monotonic() < deadline, "the feedback is not listed"
    return {}


def unknown_field(*_):
    """Returns an interaction with an unknown field."""
    interaction = {"agent_id": "support", "user_id": "paul", "user_input": "hello", "detected_signal": "neutral"}
    return {"body": json.dumps({**interaction, "responseType": "answer"})}


SITUATIONS = {
    "conflict": conflicting,
    "unknown_field": unknown_field,
    "entry": stored,
    "counted": counted,
    "corrected": rated("corrected"),
    "withdrawn": rated("withdrawn"),
    "not_a_signal": rated("not_a_signal"),
    "given_feedback": given_feedback,
    "unauthorized": lambda *_: {"key": None},
    "forbidden": lambda operation, _: {"key": key_with(set(SCOPES) - {scope(operation)})},
    "too_large": too_large,
    "not_json": lambda *_: {"kind": "text/plain"},
    "not_otlp": lambda *_: {"kind": "text/plain"},
    "not_gzip": lambda *_: {"headers": {"Content-Encoding": "br"}},
    "respond_async": lambda *_: {"headers": {"Prefer": "respond-async"}},
    "no_data": lambda *_: {},
    "no_entry": lambda *_: {},
}


def test_every_request_example_has_a_response_example():
    for _, _, operation in operations():
        answered = {
            name
            for status in operation["responses"]
            for name in examples(response(operation, status).get("content", {}).get("application/json", {}))
        }
        assert {name for _, name, _ in request_examples(operation)} <= answered


@pytest.mark.parametrize(("method", "path", "operation"), [one for one in operations() if scope(one[2])], ids=label)
def test_documented_scope_is_sufficient(method, path, operation):
    kind, _, body = next(iter(request_examples(operation)), (None, None, None))
    answer = send_example(method, path, body, kind, Names(), key=key_with({scope(operation)}))
    assert answer.status_code != 401 and answer.status_code != 403, answer.text


@pytest.mark.parametrize("kind", ["image/png", "image/svg+xml"])
@pytest.mark.parametrize("chart", ["getVisualize", "getAgentVisualize"])
def test_chart_has_the_accepted_type(chart, kind, names, sent):
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == chart)
    if chart == "getAgentVisualize":
        names = Names()
        counted(operation, names)
    answer = send_example(method, path, None, None, names, headers={"Accept": kind})
    check(operation, 200, answer.headers, None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


def entries_in(kind, text):
    """Returns the rows of a page of lines: entries of NDJSON, or lists of cells of CSV, in which JSON is parsed."""
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in text.splitlines()]
    rows = list(csv.reader(io.StringIO(text)))
    return [[json.loads(cell) if cell.startswith("{") else cell for cell in row] for row in rows]


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/csv"])
def test_page_of_lines_matches_its_example(kind, names, sent):
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == "getLogs")
    expected = examples(response(operation, 200)["content"][kind])["two_entries"]["value"]
    answer = send_example(method, path, None, None, names, headers={"Accept": kind})
    check(operation, 200, answer.headers, None)
    assert (answer.status_code, answer.headers["vary"]) == (200, "accept")
    found = entries_in(kind, names.back(answer.content.decode()))
    assert settled(found) == settled(entries_in(kind, expected))


@pytest.mark.parametrize(
    ("log_id", "kind"),
    [
        (7, "uuid_type"),
        ("x", "uuid_parsing"),
        ("019b796d-d600-4c2a-8a53-5d1c54f1a6c1", "uuid_version"),
    ],
)
def test_invalid_log_id_is_answered_as_documented(log_id, kind):
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == "postLog")
    body = {"agent_id": "support", "user_id": "maria", "user_input": "hello", "log_id": log_id}
    answer = send(method, path, data=json.dumps(body), headers={"content-type": "application/json"})
    check(operation, 422, answer.headers, answer.json())
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, kind)


def test_entry_is_not_sent_twice_as_documented():
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == "getLog")
    names = Names()
    stored(operation, names)
    first = send_example(method, path, None, None, names)
    check(operation, 200, first.headers, json.loads(names.back(first.text)))
    again = send_example(method, path, None, None, names, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.text, again.headers["etag"]) == (304, "", first.headers["etag"])


def test_next_page_is_linked_as_documented(names, sent):
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == "getEvents")
    first = send_example(method, path, None, None, names, query="?limit=1")
    check(operation, 200, first.headers, first.json())
    query = re.fullmatch(r'<(.*)>; rel="next"', first.headers["link"])[1]
    second = send(method, path_with_names(path, names) + query)
    check(operation, 200, second.headers, second.json())
    assert first.json()[0]["event_id"] != second.json()[0]["event_id"]


def test_unknown_path_is_rejected_by_the_gateway():
    answer = send("get", "/nowhere")
    schema = resolve({"$ref": "#/components/schemas/GatewayError"})
    assert (answer.status_code, faults(answer.json(), schema)) == (404, [])
