"""Clients generated from static/openapi.yaml accept the README's requests and all examples of the document.

`openapi-typescript` and `openapi-python-client` generate the clients, `tsc` and `mypy` check the types.
"""

import datetime
import importlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPEC = ROOT / "static/openapi.yaml"
DOCUMENT = YAML(typ="safe").load(SPEC)
NODE_PROGRAMS = ROOT / "node_modules/.bin"
JSON = "application/json"
# The Python generator supports none of these content types and omits them: in the responses of both charts, and in the bodies of both batches
# and of the four exports.
WARNINGS = {
    "Cannot parse response for status code": ("Unsupported content_type image/png, image/svg+xml", 2),
    "Unsupported content type application/x-ndjson": ("application/x-ndjson", 2),
    "Unsupported content type application/x-protobuf": ("application/x-protobuf", 4),
}
BATCHES = ("/events", "/logs")


def resolve(value):
    while "$ref" in value:
        target = DOCUMENT
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        value = target
    return value


def readme_bodies():
    """Returns (path, body) of every `curl` command in the README that sends JSON."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    text = re.sub(r"'\$\(date [^)]*\)'", "2026-01-01T12:00:00Z", text)
    return [(path, json.loads(body)) for path, body in re.findall(r"\$SIGNALS_URL(/\S+)\s+-d '([^']*)'", text)]


def operations():
    return [
        (method, path, operation)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
    ]


def json_examples(content):
    return {name: resolve(one)["value"] for name, one in content.get(JSON, {}).get("examples", {}).items()}


def request_examples():
    """Yields (path, body) of every JSON request example with a 2xx response."""
    for _, path, operation in operations():
        answered = set()
        for status, response in operation["responses"].items():
            if status.startswith("2"):
                answered |= json_examples(resolve(response).get("content", {})).keys()
        content = operation.get("requestBody", {}).get("content", {})
        for name, value in json_examples(content).items():
            # A batch gets 207 even if its items are invalid.
            if name in answered and path not in BATCHES:
                yield path, value


def response_examples():
    """Yields (method, path, status, schema, value) of every JSON response example."""
    for method, path, operation in operations():
        for status, response in operation["responses"].items():
            content = resolve(response).get("content", {})
            for value in json_examples(content).values():
                yield method, path, status, content[JSON]["schema"], value


def run(*command, cwd, **more):
    command = [str(part) for part in command]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **more)


def normal_instants(text):
    """Normalizes all RFC 3339 times in a JSON text."""
    instant = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))"')
    return instant.sub(lambda found: f'"{datetime.datetime.fromisoformat(found[1]).isoformat()}"', text)


class Clients(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="signals-clients-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def assert_succeeds(self, outcome):
        self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)

    def test_readme_has_json_requests(self):
        self.assertEqual({path for path, _ in readme_bodies()}, {"/log", "/event"})

    def test_typescript_client_accepts_bodies_and_examples(self):
        self.assert_succeeds(run(NODE_PROGRAMS / "openapi-typescript", SPEC, "-o", "api.ts", cwd=self.folder))
        lines = ["import type { paths } from './api';"]
        body = "paths['{}']['post']['requestBody']['content']['application/json']"
        for path, value in [*readme_bodies(), *request_examples()]:
            lines.append(f"const request{len(lines)}: {body.format(path)} = {json.dumps(value)};")
        answer = "paths['{}']['{}']['responses'][{}]['content']['application/json']"
        for method, path, status, _, value in response_examples():
            lines.append(f"const response{len(lines)}: {answer.format(path, method, status)} = {json.dumps(value)};")
        lines += [
            "// Any JSON object is a payload.",
            f"const event: {body.format('/event')} = {{ user_id: 'u', agent_id: 'a', signal_type: 's', timestamp: 0,",
            "  payload: { order: 17, tags: ['new'], nested: { list: [1, null] } } };",
            "// @ts-expect-error A payload is an object.",
            f"const number: {body.format('/event')} = {{ ...event, payload: 1 }};",
            "// @ts-expect-error A user is required.",
            f"const nobody: {body.format('/log')} = {{ agent_id: 'a', user_input: 'hi' }};",
            f"type Results = {answer.format('/events', 'post', 207)}['results'];",
            "export function describe(result: Results[number]): string {",
            "  switch (result.status) {",
            "    case 'ingested': case 'duplicate': return result.anomaly?.rule ?? result.received_at;",
            "    case 'queued': return result.event_id;",
            "    case 'conflict': case 'forbidden': case 'unavailable': return result.detail;",
            "    case 'invalid': return result.detail.map((error) => error.msg).join();",
            "  }",
            "}",
        ]
        (self.folder / "check.ts").write_text("\n".join(lines))
        self.assert_succeeds(run(NODE_PROGRAMS / "tsc", "--strict", "--noEmit", "check.ts", cwd=self.folder))

    def test_python_client_accepts_bodies_and_examples(self):
        package = "signals_client"
        environment = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
        generate = ("openapi-python-client", "generate", "--path", SPEC, "--meta", "none", "--output-path", package)
        generated = run(*generate, cwd=self.folder, env=environment)
        self.assert_succeeds(generated)
        output = generated.stdout + generated.stderr
        self.assertEqual(output.count("WARNING parsing"), sum(count for _, count in WARNINGS.values()), output)
        for warning, (cause, count) in WARNINGS.items():
            self.assertEqual(output.count(warning), count, output)
            self.assertIn(cause, re.sub(r"\s+", " ", output))

        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        models = importlib.import_module(f"{package}.models")
        requests = {"/log": models.Interaction, "/event": models.Event}
        lines = [f"from {package}.models import Event, EventPayload, Interaction, Metadata, StoredResult, BatchResults"]
        for path, value in [*readme_bodies(), *request_examples()]:
            if model := requests.get(path):
                self.assert_keeps(model, value)
                lines.append(f"{model.__name__}({self.arguments(value)})")
        for _, _, _, schema, value in response_examples():
            # Schemas with alternatives have no model.
            if "$ref" in schema and (model := getattr(models, schema["$ref"].rsplit("/", 1)[1], None)):
                self.assert_keeps(model, value)
        lines += [
            "def first_rule(results: BatchResults) -> str | None:",
            "    first = results.results[0]",
            "    if isinstance(first, StoredResult) and first.anomaly is not None:",
            "        return first.anomaly.rule",
            "    return None",
        ]
        check = self.folder / "check.py"
        check.write_text("\n".join(lines) + "\n")
        mypy = (sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "check.py")
        self.assert_succeeds(run(*mypy, cwd=self.folder))
        check.write_text(lines[0] + "\nEvent(user_id=1, agent_id='a', signal_type='s', timestamp=0)\n")
        self.assertNotEqual(run(*mypy, cwd=self.folder).returncode, 0)

    def assert_keeps(self, model, value):
        """Checks that a value survives conversion to a model and back. The client formats times differently."""
        kept = json.dumps(model.from_dict(value).to_dict())
        self.assertEqual(json.loads(normal_instants(kept)), json.loads(normal_instants(json.dumps(value))))

    def arguments(self, value):
        def argument(name, item):
            model = {"payload": "EventPayload", "metadata": "Metadata"}.get(name)
            return f"{model}.from_dict({item!r})" if model else repr(item)

        return ", ".join(f"{name}={argument(name, item)}" for name, item in value.items())


if __name__ == "__main__":
    unittest.main()
