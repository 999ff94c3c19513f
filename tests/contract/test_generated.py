"""Requests that nobody thought of, good and bad, are answered as the document says.

Schemathesis makes them from the document, always the same ones. It checks statuses, content types, headers and bodies
against the document, that nothing fails, that a bad request is refused and a good one is not, and that the key is
demanded.
"""

import copy

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import CHECKS
import stack
from contract import DOCUMENT, parameters

REQUESTS_AN_OPERATION = 10
# API Gateway answers 404 to a method that a path does not have.
INAPPLICABLE = ["unsupported_method"]
# A batch is answered as a whole, and its bad events one by one within.
ANY_BATCH_IS_GOOD = ["negative_data_rejection"]
# A store that does not answer in time is documented as 503, whose body is checked as any other.
A_BUSY_MACHINE = ["not_a_server_error"]


def document():
    """The document, as far as requests can be made from it alone."""
    adapted = copy.deepcopy(DOCUMENT)
    # A cursor is nobody's to make up.
    for path in adapted["paths"].values():
        for operation in path.values():
            operation["parameters"] = [
                one for one in operation.get("parameters", []) if not one.get("$ref", "").endswith("Cursor")
            ]
    # Whether the time of an interaction is within range, and is the time of its id, a schema cannot tell.
    log = adapted["paths"]["/log"]["post"]
    log["parameters"] = [one for one in log["parameters"] if one["name"] != "Idempotency-Key"]
    for field in ("log_id", "timestamp"):
        del adapted["components"]["schemas"]["Interaction"]["properties"][field]
    # Lax forms are for the examples of black-box tests: a schema cannot tell them from nonsense.
    schemas = adapted["components"]["schemas"]
    schemas["Time"]["anyOf"] = [form for form in schemas["Time"]["anyOf"] if "lax" not in form.get("description", "")]
    return adapted


@schemathesis.serializer("application/x-ndjson")
def as_lines(_, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_case(_, case):
    """A schema counts characters and the API bytes, so names are of one byte a character; and headers are ASCII. Unknown
    parameters are ignored, which is documented; to Schemathesis they are bad."""
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
    excluded = INAPPLICABLE + (ANY_BATCH_IS_GOOD if case.operation.definition.raw["operationId"] == "postEvents" else [])
    answer = case.call(base_url=stack.URL, headers={"X-API-Key": stack.KEY}, timeout=stack.TIMEOUT_SECONDS)
    if answer.status_code == 503:
        excluded += A_BUSY_MACHINE
    case.validate_response(answer, excluded_checks=CHECKS.get_by_names(excluded))
