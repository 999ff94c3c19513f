"""Publishes the dashboard: synchronizes static/ to the bucket of a deployed stack and invalidates CloudFront's cache.

    python scripts/publish.py --env dev

Also uploads `config.json`, which describes the stack to the page. Region and credentials are found as the AWS SDKs find them.
"""

import argparse
import json
import mimetypes
import subprocess
import sys
import time

import boto3
import tomlkit

import stack
from stack import ROOT

STATIC = ROOT / "static"
# The mimetypes module depends on the machine's configuration.
TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".yaml": "application/yaml",
}
# Browsers revalidate each time, because a file keeps its name when its content changes. CloudFront answers the revalidation: its
# cache is invalidated at each upload.
CACHING = "public, max-age=0, s-maxage=86400, must-revalidate"
CONFIG = "config.json"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stack.add_arguments(parser)
    publish(stack.Environment(parser.parse_args()).stack)


def publish(name):
    """Publishes to the stack named `name`."""
    deployed = stack.Stack.find(name)
    if not deployed:
        sys.exit(f"there is no stack {name} in this account and region")
    outputs = deployed.outputs
    bucket = outputs.get("DashboardBucket")
    if not bucket:
        print(f"{name} has no dashboard: its parameter WithDashboard is false")
        return
    contents = {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in files()}
    contents[CONFIG] = config(name, outputs)
    # Upload the pages last: until then the old pages still have all their files.
    for key in sorted(contents, key=lambda key: (key.endswith(".html"), key)):
        upload(bucket, key, contents[key])
    for key in published(bucket) - set(contents):
        boto3.client("s3").delete_object(Bucket=bucket, Key=key)
    invalidate(outputs["DashboardDistribution"])


def files():
    """Returns the files to publish. Hidden files belong to the build."""
    return (path for path in STATIC.rglob("*") if path.is_file() and not path.name.startswith("."))


def config(name, outputs):
    settings = {"stack": name, "environment": outputs["Environment"], "version": version(), "api": "/api"}
    return json.dumps(settings, indent=2).encode() + b"\n"


def version():
    """Returns the workspace's version, with the commit if git knows it."""
    number = tomlkit.parse((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return str(number)
    return f"{number}+{commit.stdout.strip()}"


def published(bucket):
    pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def upload(bucket, key, content):
    suffix = key[key.rfind(".") :]
    kind = TYPES.get(suffix) or mimetypes.guess_type(key)[0] or "application/octet-stream"
    kind += "; charset=utf-8" if kind.startswith("text/") else ""
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=content, ContentType=kind, CacheControl=CACHING)


def invalidate(distribution):
    paths = {"Quantity": 1, "Items": ["/*"]}
    batch = {"Paths": paths, "CallerReference": str(time.time_ns())}
    boto3.client("cloudfront").create_invalidation(DistributionId=distribution, InvalidationBatch=batch)


if __name__ == "__main__":
    main()
