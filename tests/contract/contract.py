"""Loads static/openapi.yaml and validates responses against it."""

import pathlib

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "static/openapi.yaml").read_text())
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
URI = "urn:openapi"
REGISTRY = Registry().with_resource(URI, Resource(DOCUMENT, DRAFT202012))


def operations():
    """Returns (method, path, operation) of every operation, in the document's order."""
    return [
        (method, path, operation)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def label(value):
    """Returns a test id."""
    return value["operationId"] if isinstance(value, dict) else value


def resolve(value):
    """Follows `$ref` references."""
    while "$ref" in value:
        target = DOCUMENT
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        value = target
    return value


def parameters(operation, place):
    """Returns the parameters of an operation in `place`: path, query or header."""
    return [one for one in map(resolve, operation.get("parameters", [])) if one["in"] == place]


def scope(operation):
    """Returns the scope that a key needs, or None if no key is needed."""
    return next((scopes[0] for one in operation["security"] for scopes in one.values()), None)


def response(operation, status):
    """Returns the documented response with this status."""
    assert str(status) in operation["responses"], f"{operation['operationId']} does not document {status}"
    return resolve(operation["responses"][str(status)])


def examples(media):
    """Returns the examples by name."""
    return {name: resolve(example) for name, example in media.get("examples", {}).items()}


def faults(value, schema):
    """Returns all violations of a schema of the document by `value`."""
    # References in the schema point into the document.
    formats = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator(within(schema), registry=REGISTRY, format_checker=formats)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)]


def within(schema):
    if isinstance(schema, dict):
        return {
            name: URI + value if name == "$ref" and isinstance(value, str) else within(value)
            for name, value in schema.items()
        }
    return [within(item) for item in schema] if isinstance(schema, list) else schema


def check(operation, status, headers, body):
    """Fails if a response violates the document: its status, content type, headers, or JSON body."""
    documented = response(operation, status)
    kind = headers.get("content-type", "").split(";")[0]
    assert kind in documented["content"], f"{operation['operationId']} does not document {kind!r} for {status}"
    for name, header in documented.get("headers", {}).items():
        if name in headers:
            schema = resolve(header)["schema"]
            value = int(headers[name]) if schema["type"] == "integer" else headers[name]
            assert not faults(value, schema), f"{name}: {value}"
    if kind == "application/json":
        found = faults(body, documented["content"][kind]["schema"])
        assert not found, f"{operation['operationId']} {status}: {body}: {found}"
