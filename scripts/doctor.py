"""Checks a deployed stack from outside, for what no emulator shows, and prints a table of problems and remedies.

    python scripts/doctor.py --env dev

Makes a key, sends some thirty requests with it, and removes the key and the data. Costs less than a cent.
AWS is found as the AWS SDKs find it.
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
# By default more than 10 events in 5 seconds are an anomaly, and 16 a critical one.
EVENTS = 16
REQUEST_SECONDS = 30
# CloudWatch takes a metric from a log line, and finds a line by a query, within a minute or two.
PATIENCE_SECONDS = 180
API_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
DASHBOARD_HEADERS = ("content-security-policy", "strict-transport-security", "x-content-type-options", "x-frame-options")
OK, PROBLEM, SKIPPED = "ok", "PROBLEM", "skipped"
DURATIONS = """filter type = "platform.report"
| stats pct(record.metrics.durationMs, 50) as warm, pct(record.metrics.initDurationMs, 50) as init, count(*) as calls"""


class Problem(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what, remedy):
        super().__init__(what)
        self.what, self.remedy = what, remedy


class NotHere(Exception):
    """Why a check does not apply to this stack."""


class Patient:
    """The stack under examination, and the user whose data is made for it."""

    def __init__(self, environment, api):
        self.name, self.region = environment.stack, environment.region
        self.stack = stack.Stack.find(self.name)
        if not self.stack:
            sys.exit(f"there is no stack {self.name} in {self.region} in this account")
        self.outputs = self.stack.outputs
        self.api = api or self.outputs["ApiUrl"]
        # A space, a plus and letters that are not ASCII: each is encoded differently by somebody.
        self.user = f"doctor é+{secrets.token_hex(6)}"
        self.key_name = f"doctor-{secrets.token_hex(6)}"
        self.key = None
        self.started = datetime.datetime.now(datetime.timezone.utc)

    def resources(self, kind):
        return [one["PhysicalResourceId"] for one in self.stack.resources() if one["ResourceType"] == kind]

    def path(self, form):
        return form.format(user=urllib.parse.quote(self.user, safe=""), agent=AGENT)

    def ask(self, method, path, body=None, status=200):
        """The JSON that the API answers, which has to be with `status`."""
        answered, _, text = request(method, self.api + path, body, {"x-api-key": self.key})
        if answered != status:
            raise Problem(f"{method} {path}: {answered} {text[:200]}", "look at the log of that function for the request")
        return json.loads(text)

    def command(self, *arguments):
        """What the command line of Signals says of the stack."""
        command = ["cargo", "run", "--quiet", "-p", "local", "--", *arguments, "--stack", self.name]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise Problem(f"{' '.join(arguments[:2])} fails", "see its message above")
        return done.stdout.strip()


def request(method, url, body=None, headers=None):
    """Status, headers and text of an answer."""
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
        raise Problem(f"{url}: {error}", "CloudFront takes some minutes to know a new address; try again") from error


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


def until(found):
    """What `found` returns once it is something; None when patience ends."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (result := found()):
        if time.monotonic() > deadline:
            return None
        time.sleep(2)
    return result


def deployment(patient):
    if not re.fullmatch(r"(CREATE|UPDATE|IMPORT)_COMPLETE", patient.stack.status):
        raise Problem(f"the stack is {patient.stack.status}", "look at its events in the CloudFormation console")
    if patient.outputs.get("Region") != patient.region:
        raise Problem(f"the stack says {patient.outputs.get('Region')}", "set AWS_REGION to the region of the stack")
    return f"{patient.stack.status} in {patient.region}"


def key(patient):
    patient.key = patient.command("key", "create", "--name", patient.key_name, "--scopes", SCOPES, "--agents", AGENT)
    return "a key is created and used below"


def strangers(patient):
    api = re.search(r"[a-z0-9]{8,}", urllib.parse.urlsplit(patient.outputs["ApiUrl"]).hostname)[0]
    pages = boto3.client("apigatewayv2").get_routes(ApiId=api, MaxResults="200")["Items"]
    routes = sorted(route["RouteKey"] for route in pages)
    if not routes:
        raise Problem("the API has no routes", "deploy again")
    for route in routes:
        method, path = route.split(" ")
        status, _, _ = request(method, patient.api + re.sub(r"\{\w+\}", AGENT, path), {} if method == "POST" else None)
        expected = 200 if path == "/health" else 401
        if status != expected:
            raise Problem(f"{route} without a key: {status} instead of {expected}", "look at the log of that function")
    return f"{len(routes)} routes"


def headers(patient):
    _, answered, _ = request("GET", patient.api + "/health")
    for name, value in API_HEADERS.items():
        if answered.get(name) != value:
            raise Problem(f"{name} is {answered.get(name)!r} instead of {value!r}", "deploy the functions of this version")
    return ", ".join(API_HEADERS)


def dashboard(patient):
    if "DashboardUrl" not in patient.outputs:
        raise NotHere("WithDashboard is false")
    url = patient.outputs["DashboardUrl"]
    status, answered, _ = request("GET", url + "/")
    if status != 200:
        raise Problem(f"{url}/: {status}", f"run .venv/bin/python scripts/publish.py --env ENV for {patient.name}")
    if missing := [name for name in DASHBOARD_HEADERS if name not in answered]:
        raise Problem(f"without {', '.join(missing)}", "see DashboardHeaders in template.yaml")
    if (status := request("GET", url + "/no-such-file")[0]) != 404:
        raise Problem(f"a missing file is answered with {status}", "see DashboardBucketPolicy in template.yaml")
    if (status := request("GET", url + "/api/agents")[0]) != 401:
        raise Problem(f"/api/agents without a key: {status}", "see the behaviour /api/* of the distribution")
    return "headers, a missing file, and the API under /api"


def logs(patient):
    entry = {"agent_id": AGENT, "user_id": patient.user, "user_input": "thanks"}
    patient.ask("POST", "/log", entry)
    found = patient.ask("GET", patient.path("/logs/{agent}/{user}"))
    if [one["user_id"] for one in found] != [patient.user]:
        raise Problem(f"{len(found)} entries of a user with one", "a name is decoded twice or not at all on the way")
    return "an entry of a user with an encoded name is read back"


def anomalies(patient):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    event = {"user_id": patient.user, "agent_id": AGENT, "signal_type": "doctor", "timestamp": now}
    patient.ask("POST", "/events", [event] * EVENTS, status=207)
    if not until(lambda: patient.ask("GET", patient.path("/anomalies/{user}"))):
        raise Problem(f"{EVENTS} events at once are no anomaly", "look at the logs of post-events and judge-events")
    return f"{EVENTS} events at once are an anomaly"


def alarms(patient):
    names = patient.resources("AWS::CloudWatch::Alarm")
    if not names:
        raise NotHere("the stack has none")
    found = boto3.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    if off := [alarm for alarm in found if alarm["StateValue"] == "ALARM"]:
        what = "; ".join(f"{alarm['AlarmName']}: {alarm.get('AlarmDescription')}" for alarm in off)
        raise Problem(what, "docs/operations.md, Alarms")
    if len(found) != len(names):
        raise Problem(f"{len(found)} of {len(names)} alarms exist", "deploy again")
    return f"{len(found)} alarms, none in ALARM"


def sources(patient):
    mappings = []
    for function in patient.resources("AWS::Lambda::Function"):
        mappings += boto3.client("lambda").list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    if len(mappings) < 4:
        raise Problem(f"{len(mappings)} event sources instead of 4", "deploy again")
    if off := [one for one in mappings if one["State"] != "Enabled"]:
        what = ", ".join(f"{one['EventSourceArn']} is {one['State']}" for one in off)
        raise Problem(what, "aws lambda update-event-source-mapping --enabled --uuid " + off[0]["UUID"])
    return f"{len(mappings)} streams and queues are read"


def metrics(patient):
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
            StartTime=patient.started - datetime.timedelta(minutes=1),
            EndTime=datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1),
        )
        return answer["MetricDataResults"][0]["Values"]

    if not until(values):
        raise Problem("no metric Interactions came of the entry", "look for its line in the log of post-log")
    return "the entry is counted in Interactions"


def durations(patient):
    client = boto3.client("logs")
    groups = [group for group in patient.resources("AWS::Logs::LogGroup") if group.startswith("/aws/lambda/")]

    def rows():
        now = datetime.datetime.now(datetime.timezone.utc)
        since = int((patient.started - datetime.timedelta(hours=1)).timestamp())
        query = client.start_query(logGroupNames=groups, startTime=since, endTime=int(now.timestamp()), queryString=DURATIONS)
        answer = until(lambda: finished(client.get_query_results(queryId=query["queryId"])))
        return answer and answer["results"]

    found = until(rows)
    if not found:
        raise NotHere("no platform.report is logged: SystemLogLevel is WARN")
    row = {field["field"]: field["value"] for field in found[0]}
    cold = f"{float(row['warm']) + float(row['init']):.0f} ms cold" if row.get("init") else "no cold start"
    return f"p50 {float(row['warm']):.1f} ms warm, {cold}, of {row['calls']} calls"


def finished(answer):
    return answer if answer["status"] not in ("Scheduled", "Running") else None


# By the names that --skip takes, in their order: the later ones wait for what the earlier ones have sent.
CHECKS = {
    "deployment": deployment,
    "key": key,
    "strangers": strangers,
    "headers": headers,
    "dashboard": dashboard,
    "logs": logs,
    "anomalies": anomalies,
    "alarms": alarms,
    "sources": sources,
    "metrics": metrics,
    "durations": durations,
}


def examine(patient, skipped):
    """Each check's name, result, what was found, and the remedy."""
    for name, check in CHECKS.items():
        if name in skipped:
            yield name, SKIPPED, "asked for", ""
            continue
        print(f"checking {name}", file=sys.stderr, flush=True)
        try:
            yield name, OK, check(patient), ""
        except NotHere as reason:
            yield name, SKIPPED, str(reason), ""
        except Problem as problem:
            yield name, PROBLEM, problem.what, problem.remedy
        except (KeyError, LookupError, boto3.exceptions.Boto3Error, stack.botocore.exceptions.ClientError) as error:
            yield name, PROBLEM, f"{type(error).__name__}: {error}", "may you do this? see docs/operations.md, Doctor"


def clean_up(patient):
    """Removes the key and what was recorded with it."""
    for arguments in (["key", "revoke", patient.key_name], ["erase", "--user", patient.user, "--yes"]):
        try:
            patient.command(*arguments)
        except Problem as problem:
            yield "clean-up", PROBLEM, problem.what, f"cargo run -p local -- {' '.join(arguments)} --stack {patient.name}"


def table(rows):
    rows = [("CHECK", "RESULT", "FOUND", "REMEDY"), *rows]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stack.add_arguments(parser)
    parser.add_argument("--api", help="another address of the API than the stack's output ApiUrl")
    parser.add_argument("--skip", nargs="*", default=[], choices=CHECKS, metavar="CHECK", help=", ".join(CHECKS))
    arguments = parser.parse_args()
    patient = Patient(stack.Environment(arguments), arguments.api)
    try:
        rows = list(examine(patient, arguments.skip))
    finally:
        left = list(clean_up(patient)) if patient.key else []
    rows += left
    print(table(rows))
    if any(result == PROBLEM for _, result, _, _ in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
