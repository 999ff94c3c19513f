"""Responses to generated requests, valid and invalid, conform to the document.

Schemathesis generates the requests from the document, with a fixed seed. It checks statuses, content types, headers and bodies
against the document. It also checks that there are no server errors, that invalid requests are rejected and valid ones accepted, and
that an API key is required.
"""

import copy

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS
import stack
from contract import DOCUMENT, parameters

REQUESTS_AN_OPERATION = 10
# API Gateway responds with 404 if a path does not support a method.
INAPPLICABLE = ["unsupported_method"]
# A batch with invalid events gets 207, with the errors in its results.
INVALID_EVENTS_GET_207 = ["negative_data_rejection"]
# 503 is documented for stores that do not respond in time. Its body is checked like all others.
UNAVAILABLE_IS_DOCUMENTED = ["not_a_server_error"]


def document():
    """Returns the document without parts from which no valid requests can be generated."""
    adapted = copy.deepcopy(DOCUMENT)
    # Cursors cannot be generated.
    for path in adapted["paths"].values():
        for operation in path.values():
            operation["parameters"] = [
                one for one in operation.get("parameters", []) if not one.get("$ref", "").endswith("Cursor")
            ]
    # A schema cannot express the range of an interaction's time, or that the time must match the id.
    log = adapted["paths"]["/log"]["post"]
    log["parameters"] = [one for one in log["parameters"] if one["name"] != "Idempotency-Key"]
    for field in ("log_id", "timestamp"):
        del adapted["components"]["schemas"]["Interaction"]["properties"][field]
    # A schema cannot distinguish lax time formats from invalid text. The black-box tests cover them.
    schemas = adapted["components"]["schemas"]
    schemas["Time"]["anyOf"] = [form for form in schemas["Time"]["anyOf"] if "lax" not in form.get("description", "")]
    return adapted


@schemathesis.serializer("application/x-ndjson")
def as_lines(_, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_case(_, case):
    """Keeps only ASCII names, because a schema counts characters and the API counts bytes. Drops requests with unknown
    parameters, which the API ignores but Schemathesis expects to be rejected."""
    known = {one["name"] for one in parameters(case.operation.definition.raw, "query")}
    if set(case.query or {}) - known:
        return False
    return all(str(value).isascii() for value in {**(case.path_parameters or {}), **(case.headers or {})}.values())


schema = schemathesis.openapi.from_dict(
    document(),
    config=schemathesis.Config.from_dict({"generation": {"codec": "ascii"}, "seed": 1}),
)


@schema.parametrize()
@settings(
    max_examples=REQUESTS_AN_OPERATION,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_generated(case):
    excluded = INAPPLICABLE + (INVALID_EVENTS_GET_207 if case.operation.definition.raw["operationId"] == "postEvents" else [])
    answer = case.call(base_url=stack.URL, headers={"X-API-Key": stack.KEY}, timeout=stack.TIMEOUT_SECONDS)
    if answer.status_code == 503:
        excluded += UNAVAILABLE_IS_DOCUMENTED
    case.validate_response(answer, excluded_checks=CHECKS.get_by_names(excluded))
