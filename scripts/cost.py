"""Computes the cost of requests and of an idle month, and writes it into docs/cost.md between the markers.

    python scripts/cost.py           writes
    python scripts/cost.py --check   fails if the page is out of date

Input: docs/counts.json, which a test measures; docs/prices.json, with list prices and assumptions about what was not measured;
and template.yaml, for resources that cost money without being used.
"""

import argparse
import json
import pathlib
import re
import sys

from samcli.yamlhelper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cost.md"
MILLION = 1_000_000
MINUTES_A_MONTH = 60 * 24 * 30
# S3 calls that are billed as GET. S3 bills all other calls as PUT.
S3_READS = ("s3:GetObject", "s3:HeadBucket")
SECONDS_A_MONTH = MINUTES_A_MONTH * 60
# Requests and functions that write a metric at each invocation.
COUNTING = re.compile("POST /logs?(?=,|$)|POST /v1/traces|evaluate-events|open-episodes")


class Prices:
    """docs/prices.json."""

    def __init__(self):
        content = json.loads((ROOT / "docs" / "prices.json").read_text())
        self.all, self.assumed = content["prices"], content["assumed"]
        self.read, self.region = content["read"], content["region"]
        self.lines = content["lines"]
        self.template = yaml_parse((ROOT / "template.yaml").read_text())
        self.default_memory_gb = self.template["Globals"]["Function"]["MemorySize"] / 1024

    def of(self, name, quantity=1):
        price = self.all[name]
        return price["dollars"] / price["per"] * quantity

    def memory_gb(self, endpoint):
        """Returns the memory of the function of an endpoint such as `POST /log`."""
        for resource in self.template["Resources"].values():
            properties = resource.get("Properties", {})
            routes = [event["Properties"] for event in properties.get("Events", {}).values() if event["Type"] == "HttpApi"]
            if "MemorySize" in properties and any(endpoint == f"{route['Method']} {route['Path']}" for route in routes):
                return properties["MemorySize"] / 1024
        return self.default_memory_gb

    def log_bytes(self, *lines):
        """Returns the bytes that CloudWatch bills for log lines of these kinds."""
        return sum(len(self.line(kind)) + self.assumed["log_event_bytes"] for kind in lines)

    def line(self, kind):
        if kind == "access":
            text = self.template["Resources"]["Api"]["Properties"]["AccessLogSettings"]["Format"]
            for variable, value in self.lines["access"].items():
                text = text.replace(variable, value)
            return text
        return json.dumps(self.lines[kind], separators=(",", ":"))

    def default(self, parameter):
        return self.template["Parameters"][parameter]["Default"]


class Request:
    """A million requests of one kind, or invocations of a background function."""

    def __init__(self, name, count, prices):
        self.name, self.count, self.prices = name, count, prices
        self.lines = dict(self.cost())

    def cost(self):
        """Yields the lines of the bill in dollars."""
        of, assumed = self.prices.of, self.prices.assumed
        lines = ["background"]
        if re.match("GET |POST ", self.name):
            yield "API Gateway", of("api_request", MILLION)
            lines = ["request", "access"]
        if COUNTING.match(self.name):
            lines.append("metric")
        gb_seconds = MILLION * self.seconds() * self.prices.memory_gb(self.name.split(",")[0])
        yield "Lambda", of("lambda_request", MILLION) + of("lambda_gb_second", gb_seconds)
        calls = self.count["calls"]
        s3_reads = sum(number for call, number in calls.items() if call in S3_READS)
        s3_writes = sum(number for call, number in calls.items() if call.startswith("s3:")) - s3_reads
        yield "S3, PUT and LIST", of("s3_write", MILLION * s3_writes)
        yield "S3, GET", of("s3_read", MILLION * s3_reads)
        yield "DynamoDB, writes", of("dynamodb_write", MILLION * self.count["write_units"])
        yield "DynamoDB, reads", of("dynamodb_read", MILLION * self.count["read_units"])
        yield "SQS", of("sqs_request", MILLION * sum(n for call, n in calls.items() if call.startswith("sqs:")))
        yield "logs", of("log_gb", MILLION * self.prices.log_bytes(*lines) / 1e9)

    def seconds(self):
        """Returns the duration. Calls to one service run in parallel, calls to different services in sequence."""
        assumed = self.prices.assumed
        services = [call.split(":")[0] for call in self.count["calls"]]
        own = assumed["own_milliseconds"]
        # The only requests whose own time depends on the number of items: each is classified.
        if self.name.startswith(("POST /logs,", "POST /v1/traces,")):
            own += assumed["batch_entry_milliseconds"] * self.count["items"]
        return (own + sum(assumed["call_milliseconds"][service] for service in services)) / 1000

    @property
    def total(self):
        return sum(self.lines.values())

    @property
    def dearest(self):
        return max(self.lines, key=self.lines.get)

    def row(self):
        calls = ", ".join(f"{number} {call.split(':')[1]}" for call, number in sorted(self.count["calls"].items()))
        items = self.count["items"]
        dearest = f"{self.dearest}, {self.lines[self.dearest]:.2f}"
        return f"| {self.name} | {calls or '–'} | {self.total:.2f} | {self.total / items:.2f} | {dearest} |"


def requests(prices):
    counts = json.loads((ROOT / "docs" / "counts.json").read_text())
    return [Request(name, count, prices) for name, count in counts.items() if not name.startswith("any request")]


def requests_table(prices):
    rows = [request.row() for request in requests(prices)]
    return "\n".join(["| One million | Calls each | $ | $ per million items | Largest line, $ |", "|---|---|--:|--:|---|", *rows])


def idle(prices, resources):
    """Yields the costs of a month without requests."""
    kinds = [resource["Type"] for resource in resources.values()]
    alarms = [resource["Properties"] for resource in resources.values() if resource["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = sum(sum("MetricStat" in metric for metric in alarm.get("Metrics", [{"MetricStat": {}}])) for alarm in alarms)
    dashboards = kinds.count("AWS::CloudWatch::Dashboard")
    polled = sum(
        event["Type"] == "SQS"
        for resource in resources.values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if resource["Type"] == "AWS::Serverless::Function"
    )
    polls = polled * prices.assumed["polls_a_minute"] * MINUTES_A_MONTH
    yield f"{len(alarms)} alarms over {metrics} metrics", prices.of("alarm_metric", metrics)
    yield f"{dashboards} dashboard", prices.of("dashboard", dashboards)
    yield f"Lambda polling {polled} empty queues {polls:,} times", prices.of("sqs_request", polls)


def idle_table(prices):
    lines = list(idle(prices, prices.template["Resources"]))
    lines.append(("**total**", sum(dollars for _, dollars in lines)))
    return "\n".join(["| One month of | $ |", "|---|--:|", *(f"| {name} | {dollars:.2f} |" for name, dollars in lines)])


def options_table(prices):
    """Returns the additional cost of a million requests with parameters that differ from the defaults."""
    of, assumed = prices.of, prices.assumed
    rows = [
        ("`SystemLogLevel=INFO`, as in dev: Lambda's own log lines", of("log_gb", MILLION * assumed["system_log_bytes"] / 1e9)),
        ("`Tracing=Active`: one trace in twenty", of("trace", MILLION * assumed["traced_share"])),
        ("the dashboard's address instead of the API's: CloudFront", of("cloudfront_request", MILLION)),
    ]
    return "\n".join(["| A million requests with | Additional $ |", "|---|--:|", *(f"| {name} | {cost:.2f} |" for name, cost in rows)])


def stranger_table(prices):
    """Returns the cost of requests without a valid key: as many as the throttle allows, each with a key lookup."""
    of, assumed = prices.of, prices.assumed
    rate = prices.default("RequestsPerSecond")
    requests = rate * SECONDS_A_MONTH
    seconds = (assumed["own_milliseconds"] + assumed["call_milliseconds"]["dynamodb"]) / 1000
    rows = [
        ("API Gateway", of("api_request", requests)),
        ("Lambda", of("lambda_request", requests) + of("lambda_gb_second", requests * seconds * prices.default_memory_gb)),
        ("DynamoDB, reads", of("dynamodb_read", requests)),
        ("logs of API Gateway", of("log_gb", requests * prices.log_bytes("access") / 1e9)),
    ]
    rows.append(("**total**", sum(dollars for _, dollars in rows)))
    head = f"| One month with {rate} requests per second ({requests:,}) | $ |"
    return "\n".join([head, "|---|--:|", *(f"| {name} | {dollars:.2f} |" for name, dollars in rows)])


def query_table(prices):
    """Returns the cost of a query over all interactions, by the number of interactions in an object."""
    rows = []
    terabytes = MILLION * prices.assumed["entry_bytes"] / 1e12
    for in_one in (1, 100):
        objects = MILLION / in_one
        lists = prices.of("s3_write", objects / 1000)
        gets, athena = prices.of("s3_read", objects), prices.of("athena_tb", terabytes)
        rows.append(f"| {in_one} | {gets:.3f} | {lists:.4f} | {athena:.3f} | {gets + lists + athena:.3f} |")
    head = "| Interactions per object | S3, GET, $ | S3, LIST, $ | Athena, $ | Total, $ |"
    return "\n".join([head, "|--:|--:|--:|--:|--:|", *rows])


def prices_table(prices):
    rows = [f"| {price['what']} | {amount(price)} | [{host(price)}]({price['source']}) |" for price in prices.all.values()]
    return "\n".join(["| Price of a | $ | Source |", "|---|--:|---|", *rows])


def amount(price):
    if price["per"] == MILLION:
        return f"{price['dollars']:.3f} a million"
    return f"{price['dollars']:.10f}".rstrip("0")


def host(price):
    return price["source"].removeprefix("https://aws.amazon.com/").split("/")[0]


def written(page):
    """Returns the page with recomputed parts between `<!-- name -->` and `<!-- end -->`."""
    prices = Prices()
    tables = {
        "requests": requests_table,
        "options": options_table,
        "stranger": stranger_table,
        "idle": idle_table,
        "queries": query_table,
        "prices": prices_table,
    }
    for name, table in tables.items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        if not mark.search(page):
            sys.exit(f"{PAGE} lacks the markers <!-- {name} --> and <!-- end -->")
        page = mark.sub(lambda found: found[1] + table(prices) + found[2], page)
    return page


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the page is out of date")
    check = parser.parse_args().check
    page = PAGE.read_text()
    new = written(page)
    if check and new != page:
        sys.exit(f"{PAGE.name} is out of date: run scripts/cost.py")
    PAGE.write_text(new)


if __name__ == "__main__":
    main()
