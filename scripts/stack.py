"""The deployed stack of an environment: its name and parameters in samconfig.toml, and what AWS says of it."""

import os
import pathlib
import re
import sys

import boto3
import botocore.exceptions
import tomlkit

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Glue keeps its database's name in lower case, and CloudFront's names, with the region, have 64 characters at most.
NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
# The states of a stack whose first deployment failed. It has never worked, so no data is in it.
FAILED_CREATION = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
# CloudFront takes many minutes to let a distribution go.
PATIENCE = {"Delay": 5, "MaxAttempts": 720}
# Until CloudFormation has deleted the functions they may write into a bucket that was emptied.
DELETE_ATTEMPTS = 3


def add_arguments(parser):
    """What every script wants to know of the stack it is for."""
    parser.add_argument("--env", required=True, help="the environment in samconfig.toml, such as dev")
    parser.add_argument("--stack", help="another name for the stack than samconfig.toml has")


class Environment:
    """A section of samconfig.toml, in the region that AWS's tools would use."""

    def __init__(self, arguments):
        config = tomlkit.parse((ROOT / "samconfig.toml").read_text())
        # `default` is for sam alone.
        names = [name for name, section in config.items() if name != "default" and isinstance(section, dict)]
        if arguments.env not in names:
            sys.exit(f"there is no environment {arguments.env!r} in samconfig.toml, only {' and '.join(names)}: say ENV=…")
        section = config[arguments.env]
        self.name = arguments.env
        self.stack = arguments.stack or str(section["global"]["parameters"]["stack_name"])
        if not NAME.fullmatch(self.stack):
            sys.exit(f"the stack's name {self.stack!r} has to be lower case letters, digits and hyphens, 48 at most")
        self.parameters = [str(override) for override in section["deploy"]["parameters"]["parameter_overrides"]]
        self.region = use_region()


def use_region():
    """The region that the AWS CLI would use. boto3 and the Rust SDK each know one variable only: both get it."""
    region = os.environ.get("AWS_REGION") or boto3.Session().region_name
    if not region:
        sys.exit("no AWS region is set: set AWS_REGION, or `aws configure set region …` for your profile")
    os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = region
    return region


class Stack:
    """A stack as CloudFormation describes it: its id, its status and its outputs."""

    def __init__(self, description):
        self.id, self.status = description["StackId"], description["StackStatus"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}

    @classmethod
    def find(cls, name):
        """The stack named `name`, or None."""
        try:
            return cls(boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0])
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    @property
    def has_never_worked(self):
        return self.status in FAILED_CREATION

    def resources(self):
        """The resources that CloudFormation created, those that it then left included."""
        pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.id)
        return [resource for page in pages for resource in page["StackResourceSummaries"]]

    def delete(self, buckets):
        """Deletes the stack, and what is in `buckets`, without which CloudFormation deletes no bucket."""
        cloudformation = boto3.client("cloudformation")
        for attempt in range(1, DELETE_ATTEMPTS + 1):
            for bucket in buckets:
                print(f"emptying {bucket}", flush=True)
                empty(bucket)
            cloudformation.delete_stack(StackName=self.id)
            try:
                cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.id, WaiterConfig=PATIENCE)
                return
            except botocore.exceptions.WaiterError as error:
                if attempt == DELETE_ATTEMPTS:
                    sys.exit(f"{self.id} is not deleted: {self.failures() or error}")

    def failures(self):
        failed = [resource for resource in self.resources() if resource["ResourceStatus"] == "DELETE_FAILED"]
        return "; ".join(f"{resource['LogicalResourceId']}: {resource.get('ResourceStatusReason')}" for resource in failed)

    def remove_failed_creation(self):
        """Deletes a stack that never worked, and the tables that production keeps: nothing was ever written into them."""
        tables = [
            resource["PhysicalResourceId"]
            for resource in self.resources()
            if resource["ResourceType"] == "AWS::DynamoDB::Table"
            and resource.get("PhysicalResourceId")
            and resource["ResourceStatus"] != "DELETE_COMPLETE"
        ]
        for table in tables:
            delete_table(table)
        self.delete([])


def delete_table(name):
    dynamodb = boto3.client("dynamodb")
    try:
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=name)
    except dynamodb.exceptions.ResourceNotFoundException:
        return
    print(f"deleted the empty table {name}", flush=True)


def empty(bucket):
    """Deletes objects until a listing finds none: others may be written meanwhile."""
    s3 = boto3.client("s3")
    while keys := [{"Key": entry["Key"]} for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]:
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if errors := answer.get("Errors"):
            sys.exit(f"{bucket} cannot be emptied: {errors[0]['Key']}: {errors[0]['Message']}")
