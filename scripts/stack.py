"""The stack of an environment: its name and parameters from samconfig.toml, and its state on AWS."""

import os
import pathlib
import re
import sys

import boto3
import botocore.exceptions
import tomlkit

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Glue's database names are lower case. CloudFront's names, which contain the region, have at most 64 characters.
NAME = re.compile(r"[a-z][a-z0-9-]{0,47}")
# The states of a stack whose first deployment failed. Such a stack contains no data.
FAILED_CREATION = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")
# CloudFront needs many minutes to delete a distribution.
DELETION_WAIT = {"Delay": 5, "MaxAttempts": 720}
# Functions can write to an emptied bucket until CloudFormation has deleted them.
DELETE_ATTEMPTS = 3


def add_arguments(parser):
    """Adds the arguments that select a stack."""
    parser.add_argument("--env", required=True, help="the environment in samconfig.toml, such as dev")
    parser.add_argument("--stack", help="the stack's name, if it differs from samconfig.toml")


class Environment:
    """A section of samconfig.toml, and the region that the AWS tools would use."""

    def __init__(self, arguments):
        config = tomlkit.parse((ROOT / "samconfig.toml").read_text())
        # Only sam uses `default`.
        names = [name for name, section in config.items() if name != "default" and isinstance(section, dict)]
        if arguments.env not in names:
            sys.exit(f"there is no environment {arguments.env!r} in samconfig.toml, only {' and '.join(names)}: set ENV=…")
        section = config[arguments.env]
        self.name = arguments.env
        self.stack = arguments.stack or str(section["global"]["parameters"]["stack_name"])
        if not NAME.fullmatch(self.stack):
            sys.exit(f"the stack's name {self.stack!r} must consist of at most 48 lower case letters, digits and hyphens")
        self.parameters = [str(override) for override in section["deploy"]["parameters"]["parameter_overrides"]]
        self.region = use_region()


def use_region():
    """Sets both region variables to the AWS CLI's region, and returns it. boto3 and the Rust SDK each read only one of them."""
    region = os.environ.get("AWS_REGION") or boto3.Session().region_name
    if not region:
        sys.exit("no AWS region is set: set AWS_REGION, or `aws configure set region …` for your profile")
    os.environ["AWS_REGION"] = os.environ["AWS_DEFAULT_REGION"] = region
    return region


class Stack:
    """A deployed stack: its id, status and outputs."""

    def __init__(self, description):
        self.id, self.status = description["StackId"], description["StackStatus"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}

    @classmethod
    def find(cls, name):
        """Returns the stack named `name`, or None."""
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
        """Returns all resources that CloudFormation created, including retained ones."""
        pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.id)
        return [resource for page in pages for resource in page["StackResourceSummaries"]]

    def delete(self, buckets):
        """Deletes the stack. Empties `buckets` first, because CloudFormation cannot delete a bucket with objects."""
        cloudformation = boto3.client("cloudformation")
        for attempt in range(1, DELETE_ATTEMPTS + 1):
            for bucket in buckets:
                print(f"emptying {bucket}", flush=True)
                empty(bucket)
            cloudformation.delete_stack(StackName=self.id)
            try:
                cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.id, WaiterConfig=DELETION_WAIT)
                return
            except botocore.exceptions.WaiterError as error:
                if attempt == DELETE_ATTEMPTS:
                    sys.exit(f"{self.id} is not deleted: {self.failures() or error}")

    def failures(self):
        failed = [resource for resource in self.resources() if resource["ResourceStatus"] == "DELETE_FAILED"]
        return "; ".join(f"{resource['LogicalResourceId']}: {resource.get('ResourceStatusReason')}" for resource in failed)

    def remove_failed_creation(self):
        """Deletes a stack whose first deployment failed, and its retained tables, which are empty."""
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
    """Deletes objects until a listing finds none, because functions may still be writing."""
    s3 = boto3.client("s3")
    while keys := [{"Key": entry["Key"]} for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]:
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        if errors := answer.get("Errors"):
            sys.exit(f"{bucket} cannot be emptied: {errors[0]['Key']}: {errors[0]['Message']}")
