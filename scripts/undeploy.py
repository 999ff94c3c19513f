"""Deletes the stack of an environment.

    python scripts/undeploy.py --env dev

In dev the data goes with it. In prod it stays, and the stack goes only if it is named once more: --confirm NAME.
AWS is found as the AWS SDKs find it.
"""

import argparse
import sys

import boto3

import stack

# CloudFront takes many minutes to let a distribution go.
PATIENCE = {"Delay": 5, "MaxAttempts": 720}
# What the template keeps in production, by its outputs.
DATA = ("LogBucket", "EventsTable", "AnomaliesTable", "EpisodesTable", "ApiKeysTable")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stack.add_arguments(parser)
    parser.add_argument("--confirm", default="", metavar="NAME", help="the name of a stack of production that is to go")
    arguments = parser.parse_args()
    name = stack.Environment(arguments).stack
    outputs = stack.outputs(name)
    if not outputs:
        sys.exit(f"there is no stack {name} in this account and region")
    is_production = outputs["Environment"] == "prod"
    if is_production and arguments.confirm != name:
        sys.exit(f"{name} is production: to delete it all the same, say CONFIRM={name}. Its data would stay.")
    delete(name, outputs, is_production)
    tell(name, outputs, is_production)


def delete(name, outputs, is_production):
    # CloudFormation deletes no bucket that has something in it.
    for bucket in ["DashboardBucket", "QueryBucket"] + ([] if is_production else ["LogBucket"]):
        print(f"emptying {outputs[bucket]}")
        empty(outputs[bucket])
    print(f"deleting {name}", flush=True)
    cloudformation = boto3.client("cloudformation")
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig=PATIENCE)


def empty(bucket):
    s3 = boto3.client("s3")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
            if errors := answer.get("Errors"):
                sys.exit(f"{bucket} cannot be emptied: {errors[0]['Key']}: {errors[0]['Message']}")


def tell(name, outputs, is_production):
    print(f"{name} is deleted. What stays:")
    if is_production:
        print("    tables and bucket: " + ", ".join(outputs[kind] for kind in DATA))
        print("    its queues, with what was still in them for as long as they keep it")
    print("    the functions' zip files in the bucket of the stack aws-sam-cli-managed-default")
    print("    the SSM parameter of the webhook, if you have made one; metrics and traces until they expire")


if __name__ == "__main__":
    main()
