"""Deploys the stack to an emulator of AWS with the scripts of `make deploy`, and runs a command against it.

    python tests/deploy/deploy.py --ministack PROGRAM [--binaries FOLDER] -- COMMAND...

Uses the real `sam deploy`, and `sam build` unless --binaries names a folder with a binary of each function. The command's environment
contains the variables of the black-box tests. Afterwards the
stack is updated in place to production and must keep its data. `undeploy.py` must refuse to delete the production stack, and must
delete the stack after it is updated back to dev.
"""

import argparse
import contextlib
import json
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import boto3
from samcli.yamlhelper import yaml_dump, yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
STACK = "signals-test"
REGION = "us-east-1"
TIMEOUT_SECONDS = 60
# Doctor checks that the emulator does not support: CloudFront, metrics from log lines, and log queries.
UNSUPPORTED_CHECKS = ("dashboard", "metrics", "durations")
# Speed does not matter here, and whole-program optimization takes minutes per function.
QUICK_BUILD = {
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ministack", required=True, help="path of the program `ministack`")
    parser.add_argument("--binaries", type=pathlib.Path, help="folder of binaries to deploy; skips the build")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- followed by the command to run against the stack")
    arguments = parser.parse_args()
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    with tempfile.TemporaryDirectory(prefix="signals-deploy-") as folder:
        run(pathlib.Path(folder), arguments.ministack, arguments.binaries, command)


def run(folder, ministack, binaries, command):
    build = folder / "build"
    if binaries:
        say(f"packaging the binaries in {binaries}")
        package(binaries, build)
    else:
        say("building with sam")
        sam("build", "--build-dir", build, "--parameter-overrides", "Architecture=x86_64", environment=QUICK_BUILD)
    remove_unsupported_resources(build / "template.yaml")
    with emulator(ministack, folder) as aws:
        say("deploying")
        deploy(build, aws)
        api = Api.of(aws)
        environment = {**aws.environment, **api.variables(), "SIGNALS_KEY": create_key(aws)}
        wait_until_healthy(environment["SIGNALS_URL"])
        expect_published(aws, api)
        say(f"running {' '.join(command)}")
        subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True)

        say("running the doctor")
        script(aws, "doctor.py", "--api", environment["SIGNALS_URL"], "--skip", *UNSUPPORTED_CHECKS, check=True)
        say("listing keys and erasing a user")
        if "deploy test" not in signals(aws, "key", "list"):
            sys.exit("the created key is not listed")
        erase(aws, environment)

        before = record(environment)
        expect_columns(aws, before)
        upload_stale_file(aws, api)
        say("updating in place to production")
        deploy(build, aws, "Environment=prod")
        expect_published(aws, api)
        expect_kept(before, environment)
        say("trying to delete the production stack")
        expect_refusal(aws)
        say("updating in place to dev")
        deploy(build, aws)
        say("deleting")
        undeploy(aws, check=True)
        expect_gone(aws, api)


class Aws:
    """An emulated account."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def resources(self):
        """Returns the physical id of each resource by its logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        summaries = (summary for page in pages for summary in page["StackResourceSummaries"])
        return {summary["LogicalResourceId"]: summary["PhysicalResourceId"] for summary in summaries}


class Api:
    """The deployed HTTP API."""

    def __init__(self, aws, resources, identifier, stage):
        self.aws, self.resources, self.identifier, self.stage = aws, resources, identifier, stage

    @classmethod
    def of(cls, aws):
        resources = aws.resources()
        api = cls(aws, resources, resources["Api"], "api")
        api.add_routes()
        return api

    def add_routes(self):
        """Adds the routes from the API's `Body`, where SAM declares them. MiniStack ignores the `Body`."""
        gateway = self.aws.client("apigatewayv2")
        if gateway.get_routes(ApiId=self.identifier)["Items"]:
            sys.exit("MiniStack now creates the routes of an HTTP API itself: remove Api.add_routes")
        template = self.aws.client("cloudformation").get_template(StackName=STACK, TemplateStage="Processed")
        template = template["TemplateBody"]
        template = json.loads(template) if isinstance(template, str) else template
        functions = self.aws.client("lambda")
        paths = template["Resources"]["Api"]["Properties"]["Body"]["paths"]
        for path, methods in paths.items():
            for method, operation in methods.items():
                uri = operation["x-amazon-apigateway-integration"]["uri"]
                function = next(name for name in self.resources if f"${{{name}.Arn}}" in json.dumps(uri))
                arn = functions.get_function(FunctionName=self.resources[function])["Configuration"]["FunctionArn"]
                integration = gateway.create_integration(
                    ApiId=self.identifier, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
                )
                target = f"integrations/{integration['IntegrationId']}"
                gateway.create_route(ApiId=self.identifier, RouteKey=f"{method.upper()} {path}", Target=target)

    def variables(self):
        """Returns the stack's URL and the environment variables of its functions."""
        variables = {"SIGNALS_URL": f"{self.aws.endpoint}/_aws/execute-api/{self.identifier}/{self.stage}"}
        functions = self.aws.client("lambda")
        for logical, physical in self.resources.items():
            if logical.endswith("Function"):
                configuration = functions.get_function_configuration(FunctionName=physical)
                variables.update(configuration.get("Environment", {}).get("Variables", {}))
        return variables


@contextlib.contextmanager
def emulator(program, folder):
    """Runs MiniStack on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        # Used by the functions.
        "AWS_ENDPOINT_URL": endpoint,
        "TMPDIR": str(folder),
        "S3_DATA_DIR": str(folder / "s3"),
    }
    log = open(folder / "ministack.log", "w")
    process = subprocess.Popen([program], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not answers(endpoint):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"MiniStack failed to start:\n{(folder / 'ministack.log').read_text()}")
            time.sleep(0.1)
        yield Aws(endpoint)
    finally:
        process.terminate()
        process.wait()
        log.close()
        if keep := os.environ.get("SIGNALS_MINISTACK_LOG"):
            pathlib.Path(keep).write_bytes((folder / "ministack.log").read_bytes())


def package(binaries, build):
    """Writes what `sam build` writes: the template, and a folder for each function with its binary as `bootstrap`."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            (build / name).mkdir(parents=True)
            binary = binaries / resource["Metadata"]["BuildProperties"]["Binary"]
            # Debug information would be most of the archive.
            subprocess.run(["strip", "-o", build / name / "bootstrap", binary], check=True)
            resource["Properties"]["CodeUri"] = name
    (build / "template.yaml").write_text(yaml_dump(template))


def remove_unsupported_resources(path):
    """Removes saved queries and alarms over several metrics, which MiniStack does not support. cfn-lint checks them."""
    template = yaml_parse(path.read_text())
    is_metric_math = lambda resource: resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    is_refused = lambda resource: resource["Type"] == "AWS::Athena::NamedQuery" or is_metric_math(resource)
    template["Resources"] = {
        name: resource for name, resource in template["Resources"].items() if not is_refused(resource)
    }
    path.write_text(yaml_dump(template))


def deploy(build, aws, *parameters):
    """Deploys with the script that `make deploy` uses."""
    arguments = ["--template", build / "template.yaml", "--set", "Architecture=x86_64", *parameters]
    script(aws, "deploy.py", *arguments, check=True)


def undeploy(aws, **options):
    return script(aws, "undeploy.py", **options)


def script(aws, name, *arguments, **options):
    command = [sys.executable, ROOT / "scripts" / name, "--env", "dev", "--stack", STACK, *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **aws.environment}, **options)


def expect_published(aws, api):
    """Checks that the bucket contains exactly static/ and the settings of this stack."""
    s3, bucket = aws.client("s3"), api.resources["DashboardBucket"]
    page = s3.get_object(Bucket=bucket, Key="index.html")
    if page["Body"].read() != (ROOT / "static" / "index.html").read_bytes() or "text/html" not in page["ContentType"]:
        sys.exit("the published index.html differs from static/index.html")
    config = json.load(s3.get_object(Bucket=bucket, Key="config.json")["Body"])
    if config["stack"] != STACK or config["api"] != "/api":
        sys.exit(f"config.json describes another stack: {config}")
    here = {path.relative_to(ROOT / "static").as_posix() for path in (ROOT / "static").rglob("[!.]*") if path.is_file()}
    there = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    if there != here | {"config.json"}:
        sys.exit(f"the bucket and static/ differ in: {there ^ (here | {'config.json'})}")


def upload_stale_file(aws, api):
    aws.client("s3").put_object(Bucket=api.resources["DashboardBucket"], Key="js/gone.js", Body=b"")


def expect_columns(aws, recorded):
    """Checks that Athena's table has a column for each field of an entry."""
    _, (entry,) = recorded
    table = aws.client("glue").get_table(DatabaseName=f"{STACK}-interactions", Name="interactions")["Table"]
    columns = {column["Name"] for column in table["StorageDescriptor"]["Columns"]}
    if missing := set(entry) - columns:
        sys.exit(f"InteractionsTable in template.yaml has no columns for {sorted(missing)}")


def expect_refusal(aws):
    """Checks that production is not deleted without confirmation."""
    refused = undeploy(aws, capture_output=True, text=True)
    if refused.returncode == 0 or f"CONFIRM={STACK}" not in refused.stderr:
        sys.exit(f"undeploy.py does not refuse to delete production: {refused.stdout}{refused.stderr}")


def expect_gone(aws, api):
    """Checks that the data of a dev stack is deleted."""
    kept = [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]
    kept += aws.client("dynamodb").list_tables()["TableNames"]
    if left := set(kept) & set(api.resources.values()):
        sys.exit(f"undeploy.py left {sorted(left)}")


def sam(*arguments, environment):
    program = pathlib.Path(sys.executable).parent / "sam"
    subprocess.run([program, *map(str, arguments)], cwd=ROOT, env={**os.environ, **environment}, check=True)


def create_key(aws):
    """Creates a key with all scopes and agents on the command line."""
    scopes = "logs:write,logs:read,events:write,events:read"
    create = ["key", "create", "--name", "deploy test", "--scopes", scopes, "--agents", "*"]
    return signals(aws, *create)


def signals(aws, *arguments):
    """Returns the output of a Signals command for the deployed stack."""
    command = ["cargo", "run", "--quiet", "--bin", "signals", "--", *arguments, "--stack", STACK]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **aws.environment}, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


def erase(aws, environment):
    """Erases a user and checks that nothing is left."""
    user, entries = record(environment)
    said = signals(aws, "erase", "--user", user, "--yes")
    left = call(environment, "GET", f"/logs/deploy/{user}")
    if len(entries) != 1 or left or "logs: 1 objects" not in said:
        sys.exit(f"{user} was not erased: {said}")


def record(environment):
    """Records an interaction. Returns the user and the user's log."""
    body = {"agent_id": "deploy", "user_id": secrets.token_hex(8), "user_input": "thanks"}
    call(environment, "POST", "/log", body)
    return body["user_id"], call(environment, "GET", f"/logs/deploy/{body['user_id']}")


def expect_kept(before, environment):
    user, logs = before
    after = call(environment, "GET", f"/logs/deploy/{user}")
    if not logs or after != logs:
        sys.exit(f"the update changed data: {logs} became {after}")


def call(environment, method, path, body=None):
    request = urllib.request.Request(environment["SIGNALS_URL"] + path, method=method)
    request.add_header("x-api-key", environment["SIGNALS_KEY"])
    data = None
    if body is not None:
        request.add_header("content-type", "application/json")
        data = json.dumps(body).encode()
    with urllib.request.urlopen(request, data, timeout=TIMEOUT_SECONDS) as answer:
        return json.load(answer)


def wait_until_healthy(url):
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not answers(f"{url}/health"):
        if time.monotonic() > deadline:
            sys.exit(f"{url}/health does not respond")
        time.sleep(0.2)


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def say(what):
    print(f"--- {what}", flush=True)


if __name__ == "__main__":
    main()
