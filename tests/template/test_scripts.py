"""Tests of the deployment scripts against a fake AWS account."""

import argparse
import contextlib
import io
import os
import re
import subprocess
import sys
import unittest
from unittest import mock

import tomlkit
from botocore.exceptions import ClientError, WaiterError
from processed import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import deploy  # noqa: E402
import stack  # noqa: E402
import undeploy  # noqa: E402

TABLE = "AWS::DynamoDB::Table"


class Account:
    """A fake account with one stack. Replaces `boto3.client` for all services and records calls."""

    class NotFound(ClientError):
        pass

    exceptions = argparse.Namespace(ResourceNotFoundException=NotFound)

    def __init__(self, status=None, outputs=(), resources=(), objects=(), failing_deletes=0):
        self.status, self.outputs, self.objects = status, dict(outputs), list(objects)
        self.stack_resources, self.failing_deletes, self.calls = resources, failing_deletes, []

    def __call__(self, _service):
        return self

    def describe_stacks(self, StackName):
        if not self.status:
            raise ClientError({"Error": {"Code": "ValidationError", "Message": f"Stack {StackName} does not exist"}}, "DescribeStacks")
        outputs = [{"OutputKey": key, "OutputValue": value} for key, value in self.outputs.items()]
        return {"Stacks": [{"StackId": "arn", "StackStatus": self.status, "Outputs": outputs}]}

    def get_paginator(self, _name):
        keys = ("LogicalResourceId", "ResourceType", "PhysicalResourceId", "ResourceStatus")
        summaries = [dict(zip(keys, resource)) for resource in self.stack_resources]
        return argparse.Namespace(paginate=lambda **_: [{"StackResourceSummaries": summaries}])

    def get_waiter(self, _name):
        return self

    def wait(self, **_):
        if self.failing_deletes:
            self.failing_deletes -= 1
            raise WaiterError("stack_delete_complete", "DELETE_FAILED", {})
        self.status = None

    def delete_stack(self, StackName):
        self.calls.append(f"delete {StackName}")

    def update_table(self, TableName, DeletionProtectionEnabled):
        self.calls.append(f"unprotect {TableName}")

    def delete_table(self, TableName):
        self.calls.append(f"delete {TableName}")

    def list_objects_v2(self, Bucket):
        # Objects can appear after the first listing.
        return {"Contents": [{"Key": key} for key in self.objects.pop(0)]} if self.objects else {}

    def delete_objects(self, Bucket, Delete):
        self.calls += [f"delete {Bucket}/{entry['Key']}" for entry in Delete["Objects"]]
        return {}


def on(account, action, *arguments):
    """Runs `action` in `account`. Returns the calls, the output, and the exit message."""
    out = io.StringIO()
    with mock.patch("boto3.client", account), contextlib.redirect_stdout(out):
        try:
            action(*arguments)
        except SystemExit as stopped:
            return account.calls, out.getvalue(), str(stopped.code)
    return account.calls, out.getvalue(), None


FAILED = [
    ("EventsTable", TABLE, "signals-events", "DELETE_SKIPPED"),
    ("AnomaliesTable", TABLE, "", "DELETE_COMPLETE"),
    ("ApiKeysTable", TABLE, "signals-keys", "DELETE_COMPLETE"),
]


class Undeploy(unittest.TestCase):
    def test_stack_without_outputs_is_deleted(self):
        calls, _, stopped = on(Account("ROLLBACK_COMPLETE", resources=FAILED), undeploy.undeploy, "signals", "eu-west-1", "")
        self.assertEqual((["unprotect signals-events", "delete signals-events", "delete arn"], None), (calls, stopped))

    def test_missing_stack_error_names_the_region(self):
        _, _, stopped = on(Account(), undeploy.undeploy, "signals", "eu-west-1", "")
        self.assertEqual("there is no stack signals in eu-west-1 in this account", stopped)

    def test_buckets_are_emptied_until_the_delete_succeeds(self):
        outputs = {"Environment": "dev", "LogBucket": "logs"}
        account = Account("CREATE_COMPLETE", outputs, objects=[["a"], ["b"], [], ["c"]], failing_deletes=1)
        calls, _, stopped = on(account, undeploy.undeploy, "signals-dev", "eu-west-1", "")
        expected = ["delete logs/a", "delete logs/b", "delete arn", "delete logs/c", "delete arn"]
        self.assertEqual((expected, None), (calls, stopped))

    def test_production_needs_confirmation_and_lists_what_stays(self):
        outputs = {"Environment": "prod", **{name: name for name in undeploy.DATA}}
        calls, _, stopped = on(Account("UPDATE_COMPLETE", outputs), undeploy.undeploy, "signals", "eu-west-1", "")
        self.assertEqual([], calls)
        self.assertIn("CONFIRM=signals", stopped)
        _, said, _ = on(Account("UPDATE_COMPLETE", outputs), undeploy.undeploy, "signals", "eu-west-1", "signals")
        self.assertIn("A new deployment creates new resources", said)


class Deploy(unittest.TestCase):
    def test_failed_first_deployment_is_deleted(self):
        calls, said, _ = on(Account("ROLLBACK_COMPLETE", resources=FAILED), deploy.remove_failed_deployment, "signals")
        self.assertEqual(["unprotect signals-events", "delete signals-events", "delete arn"], calls)
        self.assertIn("ROLLBACK_COMPLETE", said)

    def test_working_stack_is_not_deleted(self):
        for status in (None, "CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"):
            self.assertEqual([], on(Account(status, resources=FAILED), deploy.remove_failed_deployment, "signals")[0], status)

    def test_functions_are_built_with_the_deployed_parameters(self):
        ran = []
        arguments = ["deploy.py", "--env", "prod", "--set", "Architecture=x86_64"]
        with (
            mock.patch.object(sys, "argv", arguments),
            mock.patch.dict(os.environ, {"AWS_REGION": "eu-central-1"}),
            mock.patch.object(deploy, "sam", lambda *arguments: ran.append([str(argument) for argument in arguments])),
            mock.patch.object(deploy.publish, "publish"),
        ):
            account = Account("CREATE_COMPLETE", {"ApiUrl": "https://api"})
            _, said, _ = on(account, deploy.main)
        parameters = ["Environment=prod", "Architecture=x86_64"]
        built, deployed = ran
        self.assertEqual(["build", "--parameter-overrides", *parameters], built)
        self.assertEqual(parameters, deployed[deployed.index("--parameter-overrides") + 1 :])
        self.assertEqual("eu-central-1", deployed[deployed.index("--region") + 1])
        self.assertTrue(said.startswith("deploying signals to eu-central-1"), said)
        self.assertIn("AWS_REGION=eu-central-1 cargo run", said)


class Region(unittest.TestCase):
    def region(self, variables):
        with mock.patch.dict(os.environ, {"AWS_CONFIG_FILE": "/nowhere", **variables}):
            for name in {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} - set(variables):
                os.environ.pop(name, None)
            return stack.use_region(), os.environ["AWS_REGION"], os.environ["AWS_DEFAULT_REGION"]

    def test_each_tool_gets_the_region_of_the_environment(self):
        for variables in (
            {"AWS_REGION": "eu-north-1"},
            {"AWS_DEFAULT_REGION": "eu-north-1"},
            {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "us-east-1"},
        ):
            self.assertEqual(("eu-north-1",) * 3, self.region(variables), variables)

    def test_missing_region_is_an_error(self):
        with self.assertRaises(SystemExit) as stopped:
            self.region({})
        self.assertIn("no AWS region is set", str(stopped.exception))

    def test_make_leaves_the_region_to_the_profile(self):
        for target in ("deploy", "undeploy", "doctor"):
            self.assertNotRegex((ROOT / "Makefile").read_text(), rf"(?m)^(export AWS_DEFAULT_REGION|.*\b{target}\b(?!-).*: export)")


class Names(unittest.TestCase):
    def environment(self, **arguments):
        with mock.patch.dict(os.environ, {"AWS_REGION": "us-east-1"}):
            return stack.Environment(argparse.Namespace(**{"env": "dev", "stack": None, **arguments}))

    def test_names_invalid_for_glue_or_cloudfront_are_rejected(self):
        for name in ("Signals", "signals_dev", "x" * 49, "1signals"):
            with self.assertRaises(SystemExit, msg=name):
                self.environment(stack=name)
        self.assertEqual("signals-dev", self.environment().stack)

    def test_default_section_equals_dev_and_is_only_for_sam(self):
        with self.assertRaises(SystemExit):
            self.environment(env="default")
        config = tomlkit.parse((ROOT / "samconfig.toml").read_text()).unwrap()
        self.assertEqual(config["dev"]["deploy"], config["default"]["deploy"])
        self.assertEqual(config["dev"]["global"], config["default"]["global"])

    def test_failed_first_deployment_of_dev_leaves_nothing(self):
        config = tomlkit.parse((ROOT / "samconfig.toml").read_text()).unwrap()
        self.assertEqual("DELETE", config["dev"]["deploy"]["parameters"]["on_failure"])


class Makefile(unittest.TestCase):
    def setUp(self):
        self.help = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        self.text = (ROOT / "Makefile").read_text()

    def test_help_lists_every_target(self):
        targets = re.findall(r"^\.PHONY: (\S+)$", self.text, re.MULTILINE)
        self.assertGreater(len(targets), 20)
        self.assertEqual(sorted(targets), sorted(re.findall(r"^  ([a-z0-9-]+) ", self.help, re.MULTILINE)))

    def test_help_lists_every_variable_that_users_set(self):
        listed = set(re.findall(r"^    ([A-Z_]+) ", self.help, re.MULTILINE))
        assigned = set(re.findall(r"^(?:export )?(\w+) :=", self.text, re.MULTILINE))
        used = set(re.findall(r"\$\((?:if |or )?\$?\(?([A-Z_]+)", self.text))
        provided = {"CURDIR", "PATH", "MAKE", "MAKEFILE_LIST"}
        self.assertEqual(set(), used - assigned - provided - listed)


if __name__ == "__main__":
    unittest.main()
