"""static/openapi.yaml, and what there is to ask of it."""

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
    """(method, path, operation) of every operation, in the document's order."""
    return [
        (method, path, operation)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def label(value):
    """What a test about an operation is called by."""
    return value["operationId"] if isinstance(value, dict) else value


def resolve(value):
    """What `value` refers to, where it is a reference."""
    while "$ref" in value:
        target = DOCUMENT
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step.replace("~1", "/").replace("~0", "~")]
        value = target
    return value


def parameters(operation, place):
    """The parameters of an operation that are in `place`: path, query or header."""
    return [one for one in map(resolve, operation.get("parameters", [])) if one["in"] == place]


def scope(operation):
    """The scope that a key needs; None where no key is needed."""
    return next((scopes[0] for one in operation["security"] for scopes in one.values()), None)


def response(operation, status):
    """What the document says of an answer with this status."""
    assert str(status) in operation["responses"], f"{operation['operationId']} does not document {status}"
    return resolve(operation["responses"][str(status)])


def examples(media):
    """The examples by their names."""
    return {name: resolve(example) for name, example in media.get("examples", {}).items()}


def faults(value, schema):
    """Everything by which `value` does not keep to a schema of the document."""
    # A reference within the schema is one within the document.
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
    """Fails where an answer is not as the document says: its status, content type, headers and, of JSON, its body."""
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
