"""Deletes the stack of an environment.

    python scripts/undeploy.py --env dev

In dev the data is deleted too. In prod the data stays, and --confirm NAME must repeat the stack's name. A stack whose first
deployment failed contains no data and is always deleted. Region and credentials are found as the AWS SDKs find them.
"""

import argparse
import sys

import stack

# Outputs of the resources that the template keeps in production.
DATA = ("LogBucket", "EventsTable", "AnomaliesTable", "EpisodesTable", "FeedbackTable", "ApiKeysTable")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stack.add_arguments(parser)
    parser.add_argument("--confirm", default="", metavar="NAME", help="the name of a production stack, to confirm its deletion")
    arguments = parser.parse_args()
    environment = stack.Environment(arguments)
    undeploy(environment.stack, environment.region, arguments.confirm)


def undeploy(name, region, confirm):
    deployed = stack.Stack.find(name)
    if not deployed:
        sys.exit(f"there is no stack {name} in {region} in this account")
    if deployed.has_never_worked:
        print(f"the first deployment of {name} in {region} failed: {deployed.status}")
        deployed.remove_failed_creation()
        print(f"{name} is deleted")
        return
    # A stack whose deletion failed half way may have lost its outputs.
    outputs = deployed.outputs
    is_production = outputs.get("Environment") == "prod"
    if is_production and confirm != name:
        sys.exit(f"{name} is a production stack. To delete it, set CONFIRM={name}. Its data stays.")
    print(f"deleting {name} in {region}", flush=True)
    buckets = ["DashboardBucket", "QueryBucket"] + ([] if is_production else ["LogBucket"])
    deployed.delete([outputs[bucket] for bucket in buckets if bucket in outputs])
    print_remaining(name, outputs, is_production)


def print_remaining(name, outputs, is_production):
    print(f"{name} is deleted. These resources stay:")
    if is_production:
        print("    tables and bucket: " + ", ".join(outputs[kind] for kind in DATA if kind in outputs))
        print("    queues, with their messages until they expire")
        print("    A new deployment creates new resources and does not use these. See docs/operations.md, \"Restoring a deleted stack\"")
    print("    the functions' zip files in the bucket of the stack aws-sam-cli-managed-default")
    print("    the SSM parameter of the webhook, if you created one; metrics and traces until they expire")


if __name__ == "__main__":
    main()
