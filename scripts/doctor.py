"""Checks a deployed stack from outside, including properties that emulators lack, and prints problems and remedies.

    python scripts/doctor.py --env dev

Creates an API key, sends about thirty requests, and removes the key and the data. Costs less than a cent.
Region and credentials are found as the AWS SDKs find them.
"""

import argparse
import datetime
import json
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3

import stack
from stack import ROOT

SCOPES = "logs:write,logs:read,events:write,events:read"
AGENT = "doctor"
# By default, more than 10 events in 5 seconds are an anomaly, and 16 are a critical one.
EVENTS = 16
REQUEST_SECONDS = 30
# CloudWatch needs up to two minutes to extract a metric from a log line, and to index a line for queries.
TIMEOUT_SECONDS = 180
API_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
DASHBOARD_HEADERS = ("content-security-policy", "strict-transport-security", "x-content-type-options", "x-frame-options")
OK, PROBLEM, SKIPPED = "ok", "PROBLEM", "skipped"
DURATIONS = """filter type = "platform.report"
| stats pct(record.metrics.durationMs, 50) as warm, pct(record.metrics.initDurationMs, 50) as init, count(*) as calls"""


class Problem(Exception):
    """A problem and its remedy."""

    def __init__(self, what, remedy):
        super().__init__(what)
        self.what, self.remedy = what, remedy


class NotApplicable(Exception):
    """The reason why a check does not apply to this stack."""


class Target:
    """The stack to check, and the user whose data is created for the checks."""

    def __init__(self, environment, api):
        self.name, self.region = environment.stack, environment.region
        self.stack = stack.Stack.find(self.name)
        if not self.stack:
            sys.exit(f"there is no stack {self.name} in {self.region} in this account")
        self.outputs = self.stack.outputs
        self.api = api or self.outputs["ApiUrl"]
        # A space, a plus and non-ASCII letters, which programs encode in different ways.
        self.user = f"doctor é+{secrets.token_hex(6)}"
        self.key_name = f"doctor-{secrets.token_hex(6)}"
        self.key = None
        self.started = datetime.datetime.now(datetime.timezone.utc)

    def resources(self, kind):
        return [one["PhysicalResourceId"] for one in self.stack.resources() if one["ResourceType"] == kind]

    def path(self, form):
        return form.format(user=urllib.parse.quote(self.user, safe=""), agent=AGENT)

    def ask(self, method, path, body=None, status=200):
        """Returns the JSON of a response that must have `status`."""
        answered, _, text = request(method, self.api + path, body, {"x-api-key": self.key})
        if answered != status:
            raise Problem(f"{method} {path}: {answered} {text[:200]}", "look at the log of that function for the request")
        return json.loads(text)

    def command(self, *arguments):
        """Returns the output of a Signals command for this stack."""
        command = ["cargo", "run", "--quiet", "--bin", "signals", "--", *arguments, "--stack", self.name]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise Problem(f"{' '.join(arguments[:2])} fails", "see its message above")
        return done.stdout.strip()


def request(method, url, body=None, headers=None):
    """Returns the status, headers and text of a response."""
    asked = urllib.request.Request(url, method=method, headers=headers or {})
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        asked.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(asked, data, timeout=REQUEST_SECONDS) as answer:
            return answer.status, lowered(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, lowered(error.headers), error.read().decode()
    except OSError as error:
        raise Problem(f"{url}: {error}", "a new CloudFront address needs some minutes to work; try again") from error


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


def until(found):
    """Returns the first truthy result of `found`, or None after a timeout."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (result := found()):
        if time.monotonic() > deadline:
            return None
        time.sleep(2)
    return result


def deployment(target):
    if not re.fullmatch(r"(CREATE|UPDATE|IMPORT)_COMPLETE", target.stack.status):
        raise Problem(f"the stack is {target.stack.status}", "look at its events in the CloudFormation console")
    if target.outputs.get("Region") != target.region:
        raise Problem(f"the stack says {target.outputs.get('Region')}", "set AWS_REGION to the region of the stack")
    return f"{target.stack.status} in {target.region}"


def key(target):
    target.key = target.command("key", "create", "--name", target.key_name, "--scopes", SCOPES, "--agents", AGENT)
    return "a key is created and used below"


def unauthorized(target):
    api = re.search(r"[a-z0-9]{8,}", urllib.parse.urlsplit(target.outputs["ApiUrl"]).hostname)[0]
    pages = boto3.client("apigatewayv2").get_routes(ApiId=api, MaxResults="200")["Items"]
    routes = sorted(route["RouteKey"] for route in pages)
    if not routes:
        raise Problem("the API has no routes", "deploy again")
    for route in routes:
        method, path = route.split(" ")
        status, _, _ = request(method, target.api + re.sub(r"\{\w+\}", AGENT, path), {} if method == "POST" else None)
        expected = 200 if path == "/health" else 401
        if status != expected:
            raise Problem(f"{route} without a key: {status} instead of {expected}", "look at the log of that function")
    return f"{len(routes)} routes"


def headers(target):
    _, answered, _ = request("GET", target.api + "/health")
    for name, value in API_HEADERS.items():
        if answered.get(name) != value:
            raise Problem(f"{name} is {answered.get(name)!r} instead of {value!r}", "deploy the functions of this version")
    return ", ".join(API_HEADERS)


def dashboard(target):
    if "DashboardUrl" not in target.outputs:
        raise NotApplicable("WithDashboard is false")
    url = target.outputs["DashboardUrl"]
    status, answered, _ = request("GET", url + "/")
    if status != 200:
        raise Problem(f"{url}/: {status}", f"run .venv/bin/python scripts/publish.py --env ENV for {target.name}")
    if missing := [name for name in DASHBOARD_HEADERS if name not in answered]:
        raise Problem(f"missing headers: {', '.join(missing)}", "see DashboardHeaders in template.yaml")
    if (status := request("GET", url + "/no-such-file")[0]) != 404:
        raise Problem(f"a missing file gets {status}", "see DashboardBucketPolicy in template.yaml")
    if (status := request("GET", url + "/api/agents")[0]) != 401:
        raise Problem(f"/api/agents without a key: {status}", "see the behaviour /api/* of the distribution")
    return "headers, a missing file, and the API under /api"


def logs(target):
    entry = {"agent_id": AGENT, "user_id": target.user, "user_input": "thanks"}
    target.ask("POST", "/log", entry)
    found = target.ask("GET", target.path("/logs/{agent}/{user}"))
    if [one["user_id"] for one in found] != [target.user]:
        raise Problem(f"{len(found)} entries instead of one", "the name is decoded twice or not at all on the way")
    return "an entry of a user with an encoded name was stored and read"


def anomalies(target):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    event = {"user_id": target.user, "agent_id": AGENT, "signal_type": "doctor", "timestamp": now}
    target.ask("POST", "/events", [event] * EVENTS, status=207)
    if not until(lambda: target.ask("GET", target.path("/anomalies/{user}"))):
        raise Problem(f"{EVENTS} events at once caused no anomaly", "look at the logs of post-events and evaluate-events")
    return f"{EVENTS} events at once caused an anomaly"


def alarms(target):
    names = target.resources("AWS::CloudWatch::Alarm")
    if not names:
        raise NotApplicable("the stack has no alarms")
    found = boto3.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    if off := [alarm for alarm in found if alarm["StateValue"] == "ALARM"]:
        what = "; ".join(f"{alarm['AlarmName']}: {alarm.get('AlarmDescription')}" for alarm in off)
        raise Problem(what, "docs/operations.md, Alarms")
    if len(found) != len(names):
        raise Problem(f"{len(found)} of {len(names)} alarms exist", "deploy again")
    return f"{len(found)} alarms, none in ALARM"


def sources(target):
    mappings = []
    for function in target.resources("AWS::Lambda::Function"):
        mappings += boto3.client("lambda").list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    if len(mappings) < 4:
        raise Problem(f"{len(mappings)} event sources instead of 4", "deploy again")
    if off := [one for one in mappings if one["State"] != "Enabled"]:
        what = ", ".join(f"{one['EventSourceArn']} is {one['State']}" for one in off)
        raise Problem(what, "aws lambda update-event-source-mapping --enabled --uuid " + off[0]["UUID"])
    return f"{len(mappings)} event sources are enabled"


def metrics(target):
    stat = {
        "Metric": {
            "Namespace": "Signals",
            "MetricName": "Interactions",
            "Dimensions": [{"Name": "Signal", "Value": "positive"}],
        },
        "Period": 60,
        "Stat": "Sum",
    }
    cloudwatch = boto3.client("cloudwatch")

    def values():
        answer = cloudwatch.get_metric_data(
            MetricDataQueries=[{"Id": "sent", "MetricStat": stat}],
            StartTime=target.started - datetime.timedelta(minutes=1),
            EndTime=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1),
        )
        return answer["MetricDataResults"][0]["Values"]

    if not until(values):
        raise Problem("the metric Interactions has no data", "look for its line in the log of post-log")
    return "the entry is counted in Interactions"


def durations(target):
    client = boto3.client("logs")
    groups = [group for group in target.resources("AWS::Logs::LogGroup") if group.startswith("/aws/lambda/")]

    def rows():
        now = datetime.datetime.now(datetime.timezone.utc)
        since = int((target.started - datetime.timedelta(hours=1)).timestamp())
        query = client.start_query(logGroupNames=groups, startTime=since, endTime=int(now.timestamp()), queryString=DURATIONS)
        answer = until(lambda: finished(client.get_query_results(queryId=query["queryId"])))
        return answer and answer["results"]

    found = until(rows)
    if not found:
        raise NotApplicable("no platform.report is logged: SystemLogLevel is WARN")
    row = {field["field"]: field["value"] for field in found[0]}
    cold = f"{float(row['warm']) + float(row['init']):.0f} ms cold" if row.get("init") else "no cold start"
    return f"p50 {float(row['warm']):.1f} ms warm, {cold}, of {row['calls']} calls"


def finished(answer):
    return answer if answer["status"] not in ("Scheduled", "Running") else None


# Names are those of --skip. The order matters: later checks use data of earlier checks.
CHECKS = {
    "deployment": deployment,
    "key": key,
    "unauthorized": unauthorized,
    "headers": headers,
    "dashboard": dashboard,
    "logs": logs,
    "anomalies": anomalies,
    "alarms": alarms,
    "sources": sources,
    "metrics": metrics,
    "durations": durations,
}


def run_checks(target, skipped):
    """Yields the name, result, finding and remedy of each check."""
    for name, check in CHECKS.items():
        if name in skipped:
            yield name, SKIPPED, "by --skip", ""
            continue
        print(f"checking {name}", file=sys.stderr, flush=True)
        try:
            yield name, OK, check(target), ""
        except NotApplicable as reason:
            yield name, SKIPPED, str(reason), ""
        except Problem as problem:
            yield name, PROBLEM, problem.what, problem.remedy
        except (KeyError, LookupError, boto3.exceptions.Boto3Error, stack.botocore.exceptions.ClientError) as error:
            yield name, PROBLEM, f"{type(error).__name__}: {error}", "check your permissions: docs/operations.md, Doctor"


def clean_up(target):
    """Deletes the API key and the recorded data."""
    for arguments in (["key", "revoke", target.key_name], ["erase", "--user", target.user, "--yes"]):
        try:
            target.command(*arguments)
        except Problem as problem:
            yield "clean-up", PROBLEM, problem.what, f"cargo run --bin signals -- {' '.join(arguments)} --stack {target.name}"


def table(rows):
    rows = [("CHECK", "RESULT", "FOUND", "REMEDY"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stack.add_arguments(parser)
    parser.add_argument("--api", help="the API's address, if it is not the stack's output ApiUrl")
    parser.add_argument("--skip", nargs="*", default=[], choices=CHECKS, metavar="CHECK", help=", ".join(CHECKS))
    arguments = parser.parse_args()
    target = Target(stack.Environment(arguments), arguments.api)
    try:
        rows = list(run_checks(target, arguments.skip))
    finally:
        left = list(clean_up(target)) if target.key else []
    rows += left
    print(table(rows))
    if any(result == PROBLEM for _, result, _, _ in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
