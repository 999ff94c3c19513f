"""Every example of the document is true.

A request is sent, and answered with what the example of the same name says. Where an example of an answer has no
request of its name, its summary gives the query (With `?…`), or its name the situation. Ids and the server's times are
compared by their form alone, and each run has users and agents of its own, so that any stack will do.
"""

import json
import re
import uuid

import pytest

from contract import check, examples, faults, label, operations, resolve, response, scope
from stack import SCOPES, key_with, send

# What cannot be brought about from outside: such an answer is held against its schema only.
BEYOND_REACH = {"outage", "throttled", "failed"}
# So many events before the one that is one too many.
THRESHOLD = 10
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SERVER_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Names:
    """Stands for the agent and the users of the examples with names that nobody else uses."""

    def __init__(self):
        self.suffix = f"-{uuid.uuid4().hex[:12]}"

    def out(self, text):
        return re.sub(r"\b(support|maria|paul)\b", rf"\1{self.suffix}", text)

    def back(self, text):
        return text.replace(self.suffix, "")


def request_media(operation):
    return operation.get("requestBody", {}).get("content", {})


def request_examples(operation):
    """(content type, example's name, body as text) of what can be sent."""
    return [
        (kind, name, value if isinstance(value := example["value"], str) else json.dumps(value))
        for kind, media in request_media(operation).items()
        for name, example in examples(media).items()
    ]


def path_with_names(path, names):
    return names.out(path.replace("{agent_id}", "support").replace("{user_id}", "maria"))


def send_example(method, path, body, kind, names, *, query="", headers=None, **more):
    headers = {**({"content-type": kind} if kind else {}), **(headers or {})}
    data = names.out(body).encode() if body else None
    return send(method, path_with_names(path, names) + names.out(query), data=data, headers=headers, **more)


def settled(value, field=None):
    """`value` without what differs from run to run."""
    match value:
        case {"score": _, "matched": _, "version": _, **rest}:
            # Another lexicon, other weights.
            return settled(rest)
        case dict():
            return {name: settled(item, name) for name, item in value.items()}
        case list():
            return [settled(item) for item in value]
        case str() if field == "received_at" or SERVER_TIME.fullmatch(value):
            return "a time of the server's"
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
    """Every request of the document, sent once and in its order, and the answers."""
    answers = {}
    for method, path, operation in operations():
        for kind, name, body in request_examples(operation):
            if name == "one_too_many":
                ordinary = next(body for _, name, body in request_examples(operation) if name == "ordinary")
                for _ in range(THRESHOLD - 1):
                    assert send_example(method, path, ordinary, kind, names).status_code == 200
            answers[operation["operationId"], name] = send_example(method, path, body, kind, names)
    return answers


def response_examples():
    for method, path, operation in operations():
        for status in operation["responses"]:
            media = response(operation, status)["content"].get("application/json", {})
            for name, example in examples(media).items():
                title = f"{operation['operationId']}-{status}-{name}"
                yield pytest.param(method, path, operation, status, name, example, id=title)


@pytest.mark.parametrize(("method", "path", "operation", "status", "name", "example"), list(response_examples()))
def test_an_example_is_what_the_stack_answers(method, path, operation, status, name, example, names, sent):
    schema = response(operation, status)["content"]["application/json"]["schema"]
    assert faults(example["value"], schema) == []
    if name in BEYOND_REACH:
        return
    if (operation["operationId"], name) in sent:
        answer = sent[operation["operationId"], name]
    else:
        situation = SITUATIONS[name](operation) if name in SITUATIONS else {}
        names = Names() if name in SITUATIONS else names
        query = re.search(r"With `(\?[^`]*)`", example.get("summary", ""))
        kind, _, body = next(iter(request_examples(operation)), (None, None, None))
        request = {"body": body, "kind": kind, "query": query[1] if query else "", **situation}
        answer = send_example(method, path, names=names, **request)
    assert_as_documented(operation, answer, names, status, example["value"])


def too_large(operation):
    """A body one byte longer than the limit that the example names."""
    status = response(operation, 413)
    detail = examples(status["content"]["application/json"])["too_large"]["value"]["detail"]
    return {"body": " " * (int(re.search(r"\d+", detail)[0]) + 1)}


def conflicting(_):
    """Another interaction under an id that is taken."""
    log_id = "019b76da-a800-7d1e-9c6b-0a4f5e8b7c21"
    interaction = {"agent_id": f"agent-{uuid.uuid4()}", "user_id": "someone", "user_input": "Hello", "log_id": log_id}
    first = send("post", "/log", data=json.dumps(interaction), headers={"content-type": "application/json"})
    assert first.status_code == 200, first.text
    return {"body": json.dumps({**interaction, "user_input": "Goodbye"})}


SITUATIONS = {
    "conflict": conflicting,
    "unauthorized": lambda operation: {"key": None},
    "forbidden": lambda operation: {"key": key_with(set(SCOPES) - {scope(operation)})},
    "too_large": too_large,
    "not_json": lambda operation: {"kind": "text/plain"},
    "respond_async": lambda operation: {"headers": {"Prefer": "respond-async"}},
    "no_data": lambda operation: {},
}


def test_every_request_has_an_answer_of_its_name():
    for _, _, operation in operations():
        answered = {
            name
            for status in operation["responses"]
            for name in examples(response(operation, status)["content"].get("application/json", {}))
        }
        assert {name for _, name, _ in request_examples(operation)} <= answered


@pytest.mark.parametrize(("method", "path", "operation"), [one for one in operations() if scope(one[2])], ids=label)
def test_the_scope_that_is_named_is_enough(method, path, operation):
    kind, _, body = next(iter(request_examples(operation)), (None, None, None))
    answer = send_example(method, path, body, kind, Names(), key=key_with({scope(operation)}))
    assert answer.status_code != 401 and answer.status_code != 403, answer.text


@pytest.mark.parametrize("kind", ["image/png", "image/svg+xml"])
def test_a_chart_is_of_the_kind_that_is_accepted(kind, names, sent):
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == "getVisualize")
    answer = send_example(method, path, None, None, names, headers={"Accept": kind})
    check(operation, 200, answer.headers, None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


def test_a_page_is_linked_as_documented(names, sent):
    method, path, operation = next(one for one in operations() if one[2]["operationId"] == "getEvents")
    first = send_example(method, path, None, None, names, query="?limit=1")
    check(operation, 200, first.headers, first.json())
    query = re.fullmatch(r'<(.*)>; rel="next"', first.headers["link"])[1]
    second = send(method, path_with_names(path, names) + query)
    check(operation, 200, second.headers, second.json())
    assert first.json()[0]["event_id"] != second.json()[0]["event_id"]


def test_an_unknown_path_is_answered_by_the_gateway():
    answer = send("get", "/nowhere")
    schema = resolve({"$ref": "#/components/schemas/GatewayError"})
    assert (answer.status_code, faults(answer.json(), schema)) == (404, [])
