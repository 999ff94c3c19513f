"""Publishes the dashboard: uploads static/ to the bucket of a deployed stack, and has CloudFront ask for it anew.

    python scripts/publish.py --stack signals

It prints where the dashboard is. AWS is found as the AWS SDKs find it.
"""

import argparse
import mimetypes
import pathlib
import time

import boto3

STATIC = pathlib.Path(__file__).resolve().parents[1] / "static"
# Python's list depends on the machine's.
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", required=True, help="the stack's name")
    stack = describe(parser.parse_args().stack)
    for path in files():
        upload(path, stack["DashboardBucket"])
    invalidate(stack["DashboardDistribution"])
    print(f"Dashboard  {stack['DashboardUrl']}      API  {stack['DashboardUrl']}/api")


def describe(name):
    """The stack's outputs by their names."""
    stack = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def files():
    """What is to be published. Hidden files are the build's own."""
    return sorted(path for path in STATIC.rglob("*") if path.is_file() and not path.name.startswith("."))


def upload(path, bucket):
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    kind += "; charset=utf-8" if kind.startswith("text/") else ""
    # A browser asks each time whether a file has changed: their names stay when their content does not.
    boto3.client("s3").put_object(
        Bucket=bucket,
        Key=path.relative_to(STATIC).as_posix(),
        Body=path.read_bytes(),
        ContentType=kind,
        CacheControl="no-cache",
    )


def invalidate(distribution):
    paths = {"Quantity": 1, "Items": ["/*"]}
    batch = {"Paths": paths, "CallerReference": str(time.time_ns())}
    boto3.client("cloudfront").create_invalidation(DistributionId=distribution, InvalidationBatch=batch)


if __name__ == "__main__":
    main()
