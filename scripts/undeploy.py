"""Deletes the stack of an environment.

    python scripts/undeploy.py --env dev

In dev the data goes with it. In prod it stays, and the stack goes only if it is named once more: --confirm NAME. A stack
whose first deployment failed has no data, and goes in either. AWS is found as the AWS SDKs find it.
"""

import argparse
import sys

import stack

# What the template keeps in production, by its outputs.
DATA = ("LogBucket", "EventsTable", "AnomaliesTable", "EpisodesTable", "ApiKeysTable")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stack.add_arguments(parser)
    parser.add_argument("--confirm", default="", metavar="NAME", help="the name of a stack of production that is to go")
    arguments = parser.parse_args()
    environment = stack.Environment(arguments)
    undeploy(environment.stack, environment.region, arguments.confirm)


def undeploy(name, region, confirm):
    deployed = stack.Stack.find(name)
    if not deployed:
        sys.exit(f"there is no stack {name} in {region} in this account")
    if deployed.has_never_worked:
        print(f"{name} in {region} is {deployed.status}: its first deployment failed")
        deployed.remove_failed_creation()
        print(f"{name} is deleted")
        return
    # One whose deletion failed half way may have lost its outputs.
    outputs = deployed.outputs
    is_production = outputs.get("Environment") == "prod"
    if is_production and confirm != name:
        sys.exit(f"{name} is production: to delete it all the same, say CONFIRM={name}. Its data would stay.")
    print(f"deleting {name} in {region}", flush=True)
    buckets = ["DashboardBucket", "QueryBucket"] + ([] if is_production else ["LogBucket"])
    deployed.delete([outputs[bucket] for bucket in buckets if bucket in outputs])
    tell(name, outputs, is_production)


def tell(name, outputs, is_production):
    print(f"{name} is deleted. What stays:")
    if is_production:
        print("    tables and bucket: " + ", ".join(outputs[kind] for kind in DATA))
        print("    its queues, with what was still in them for as long as they keep it")
        print("    A new deployment makes new ones, and does not find these: docs/operations.md, \"Coming back\"")
    print("    the functions' zip files in the bucket of the stack aws-sam-cli-managed-default")
    print("    the SSM parameter of the webhook, if you have made one; metrics and traces until they expire")


if __name__ == "__main__":
    main()
