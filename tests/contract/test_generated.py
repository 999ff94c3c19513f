"""Responses to generated requests, valid and invalid, conform to the document.

Schemathesis generates the requests from the document: single requests of each operation, and sequences in which a later
request uses values of earlier responses. It checks statuses, content types, headers and bodies against the document. It
also checks that there are no server errors, that invalid requests are rejected and valid ones accepted, and that an API
key is required.

`REQUESTS_PER_OPERATION` sets the number of requests, `SEED` selects other requests.
"""

import copy
import os

import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis.checks import CHECKS
import stack
from contract import DOCUMENT, parameters

REQUESTS_PER_OPERATION = int(os.environ.get("REQUESTS_PER_OPERATION", "10"))
SEED = int(os.environ.get("SEED", "1"))
REQUESTS_PER_SEQUENCE = 6
# API Gateway responds with 404 if a path does not support a method.
INAPPLICABLE = ["unsupported_method"]
# A batch with invalid items gets 207, with the errors in its results.
BATCHES = ("postEvents", "postLogs")
INVALID_ITEMS_GET_207 = ["negative_data_rejection"]
# A schema cannot express everything about an export: unknown fields are ignored, and values have one of several types.
EXPORTS = ("postTraces", "postLangfuseTraces", "postOtlpLogs", "postOtlpMetrics")
EXPORTS_ARE_TOLERANT = ["negative_data_rejection", "positive_data_acceptance"]
# A schema cannot express the rules of JSON-RPC and of the protocol's versions, and errors of both can be successful responses.
ASSISTANTS = ("postMcp", "getMcp", "deleteMcp")
ASSISTANTS_HAVE_RULES = ["negative_data_rejection", "positive_data_acceptance"]
# A schema cannot express that a range must not be too long.
RANGES = ("getAgentSummary", "getAgentActivity", "getAgentVisualize")
RANGES_CAN_BE_TOO_LONG = ["positive_data_acceptance"]
# 503 is documented for stores that do not respond in time. Its body is checked like all others.
UNAVAILABLE_IS_DOCUMENTED = ["not_a_server_error"]


# Operations that read what an operation has written.
READERS = {
    "/log": ["getLogs", "getSummary", "getVisualize", "getUsers", "getAgentSummary", "getAgentActivity", "getAgentLogs"],
    "/event": ["getEvents", "getAnomalies"],
}


def links(adapted, readers):
    """OpenAPI links to the operations `readers`, which take the names in their path from the request's body."""
    operations = {one["operationId"]: one for path in adapted["paths"].values() for one in path.values()}
    names = {reader: [one["name"] for one in parameters(operations[reader], "path")] for reader in readers}
    return {
        reader: {"operationId": reader, "parameters": {name: f"$request.body#/{name}" for name in names[reader]}}
        for reader in readers
    }


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
    # A schema cannot express that the body must be compressed as the header says.
    adapted["paths"]["/logs"]["post"]["parameters"] = []
    for field in ("log_id", "timestamp"):
        del adapted["components"]["schemas"]["Interaction"]["properties"][field]
    # A schema cannot distinguish lax time formats from invalid text. The black-box tests cover them.
    schemas = adapted["components"]["schemas"]
    schemas["Time"]["anyOf"] = [form for form in schemas["Time"]["anyOf"] if "lax" not in form.get("description", "")]
    # A schema cannot express that the maximum depends on `Accept`.
    for one in adapted["paths"]["/logs/{agent_id}/{user_id}"]["get"]["parameters"]:
        if one.get("name") == "limit":
            one["schema"]["maximum"] = 100
    for path, readers in READERS.items():
        for status in ("200", "202"):
            adapted["paths"][path]["post"]["responses"][status]["links"] = links(adapted, readers)
    return adapted


@schemathesis.serializer("application/x-ndjson")
def as_lines(_, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.serializer("application/x-protobuf")
def as_bytes(_, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_case(_, case):
    """Keeps only ASCII names, because a schema counts characters and the API counts bytes."""
    return all(str(value).isascii() for value in {**(case.path_parameters or {}), **(case.headers or {})}.values())


schema = schemathesis.openapi.from_dict(
    document(),
    config=schemathesis.Config.from_dict({"generation": {"codec": "ascii"}, "seed": SEED}),
)


def requests_of(examples, **more):
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        **more,
    )


def checks_to_skip(case, answer):
    skipped = list(INAPPLICABLE)
    if case.operation.definition.raw["operationId"] in BATCHES:
        skipped += INVALID_ITEMS_GET_207
    if case.operation.definition.raw["operationId"] in EXPORTS:
        skipped += EXPORTS_ARE_TOLERANT
    if case.operation.definition.raw["operationId"] in ASSISTANTS:
        skipped += ASSISTANTS_HAVE_RULES
    if case.operation.definition.raw["operationId"] in RANGES:
        skipped += RANGES_CAN_BE_TOO_LONG
    if answer.status_code == 503:
        skipped += UNAVAILABLE_IS_DOCUMENTED
    return CHECKS.get_by_names(skipped)


@schema.parametrize()
@seed(SEED)
@requests_of(REQUESTS_PER_OPERATION)
def test_single_requests(case):
    answer = case.call(base_url=stack.URL, headers={"X-API-Key": stack.KEY}, timeout=stack.TIMEOUT_SECONDS)
    case.validate_response(answer, excluded_checks=checks_to_skip(case, answer))


class Sequences(schema.as_state_machine()):
    """Sequences of requests, connected by the values of responses."""

    def get_call_kwargs(self, case):
        return {"base_url": stack.URL, "headers": {"X-API-Key": stack.KEY}, "timeout": stack.TIMEOUT_SECONDS}

    def validate_response(self, response, case, additional_checks=(), **more):
        case.validate_response(
            response, additional_checks=additional_checks, excluded_checks=checks_to_skip(case, response)
        )


TestSequences = Sequences.TestCase
TestSequences.settings = requests_of(max(REQUESTS_PER_OPERATION, 10), stateful_step_count=REQUESTS_PER_SEQUENCE)
