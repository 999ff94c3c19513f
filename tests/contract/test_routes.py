"""The document, the deployed routes, the local routes and the docs name the same endpoints, scopes and fields."""

import re
import tomllib

import pytest
import yaml

from contract import DOCUMENT, ROOT, label, operations, parameters, resolve, scope

DOCUMENTED = {(method.upper(), path) for method, path, _ in operations()}
PROSE = (ROOT / "docs/api.md").read_text()
ENDPOINT = re.compile(r"`([A-Z]+) (/[^`]*)`")


def template():
    class Loader(yaml.SafeLoader):
        """Ignores CloudFormation's tags."""

    def untagged(loader, _, node):
        return getattr(loader, f"construct_{node.id}")(node)

    Loader.add_multi_constructor("!", untagged)
    return yaml.load((ROOT / "template.yaml").read_text(), Loader)


def test_deployed_routes_are_documented():
    events = [
        event["Properties"]
        for resource in template()["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
        for event in resource["Properties"].get("Events", {}).values()
        if event["Type"] == "HttpApi"
    ]
    assert {(route["Method"], route["Path"]) for route in events} == DOCUMENTED


def test_local_routes_are_documented():
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    routes = manifest["workspace"]["metadata"]["lambda"]["watch"]["router"]
    assert {(entry["method"], path) for path, entries in routes.items() for entry in entries} == DOCUMENTED


def test_table_of_endpoints_is_complete():
    table = re.search(r"^## Endpoints\n(.*?)^## ", PROSE, flags=re.MULTILINE | re.DOTALL)[1]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    scopes = {
        endpoint: re.search(r"`(\w+:\w+)`", row[2])
        for row in rows
        for endpoint in ENDPOINT.findall(row[1])
    }
    named = {endpoint: found and found[1] for endpoint, found in scopes.items()}
    assert named == {(method.upper(), path): scope(operation) for method, path, operation in operations()}


def sections():
    """Returns the section of docs/api.md about each endpoint."""
    found = {}
    for section in re.split(r"^## ", PROSE, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        for endpoint in ENDPOINT.findall(heading):
            found[endpoint] = text
    return found


def test_docs_have_a_section_for_every_endpoint():
    assert set(sections()) == DOCUMENTED


@pytest.mark.parametrize(("method", "path", "operation"), operations(), ids=label)
def test_docs_name_every_parameter_and_field(method, path, operation):
    text = sections()[method.upper(), path]
    names = [one["name"] for place in ("query", "header") for one in parameters(operation, place)]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    # The events in a batch have the fields of a single event.
    if body and "items" not in resolve(body):
        names += resolve(body)["properties"]
    assert [name for name in names if not re.search(rf"[`\"?]{name}\b", text)] == []


def test_operation_descriptions_name_the_scope():
    for _, _, operation in operations():
        named = re.findall(r"Scope: `(.*)`\.", operation["description"])
        assert named == ([scope(operation)] if scope(operation) else [])


def test_docs_name_every_status():
    table = PROSE[PROSE.index("## Errors") :]
    errors = {status for _, _, operation in operations() for status in operation["responses"] if status[0] in "45"}
    assert [status for status in sorted(errors) if f"| {status}" not in table] == []


def test_every_component_is_used():
    text = (ROOT / "static/openapi.yaml").read_text()
    referred = [kind for kind in DOCUMENT["components"] if kind != "securitySchemes"]
    names = [f"#/components/{kind}/{name}'" for kind in referred for name in DOCUMENT["components"][kind]]
    assert [name for name in names if name not in text] == []
