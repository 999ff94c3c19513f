"""Deploys the stack of an environment and uploads its dashboard.

    python scripts/deploy.py --env dev

Builds the functions first, unless --template names a built template. Region and credentials are found as the AWS SDKs find them.
"""

import argparse
import pathlib
import subprocess
import sys

import publish
import stack
from stack import ROOT

SCOPES = "logs:write,logs:read,events:write,events:read"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stack.add_arguments(parser)
    parser.add_argument("--template", type=pathlib.Path, help="a built template to deploy; skips the build")
    parser.add_argument("--set", nargs="*", default=[], metavar="PARAMETER=VALUE", help="parameters that are added to those in samconfig.toml")
    arguments = parser.parse_args()
    environment = stack.Environment(arguments)
    print(f"deploying {environment.stack} to {environment.region}", flush=True)
    remove_failed_deployment(environment.stack)
    # The build needs the parameters too: one of them is the processor architecture.
    parameters = [*environment.parameters, *arguments.set]
    template = arguments.template or build(parameters)
    sam(
        "deploy",
        # By default sam looks for samconfig.toml next to the template.
        "--config-file", ROOT / "samconfig.toml",
        "--config-env", environment.name,
        "--template-file", template,
        "--stack-name", environment.stack,
        "--region", environment.region,
        "--no-progressbar",
        "--parameter-overrides", *parameters,
    )  # fmt: skip
    publish.publish(environment.stack)
    print_summary(environment)


def remove_failed_deployment(name):
    """Deletes the stack if its first deployment failed. CloudFormation cannot update such a stack, and it contains no data."""
    deployed = stack.Stack.find(name)
    if deployed and deployed.has_never_worked:
        print(f"deleting {name}, because its first deployment failed: {deployed.status}", flush=True)
        deployed.remove_failed_creation()


def build(parameters):
    sam("build", "--parameter-overrides", *parameters)
    return ROOT / ".aws-sam" / "build" / "template.yaml"


def sam(*arguments):
    """Runs the sam that is installed in the same environment as this Python."""
    program = pathlib.Path(sys.executable).parent / "sam"
    status = subprocess.run([program, *map(str, arguments)], cwd=ROOT).returncode
    if status:
        sys.exit(status)


def print_summary(environment):
    name, outputs = environment.stack, stack.Stack.find(environment.stack).outputs
    if dashboard := outputs.get("DashboardUrl"):
        print(f"\nDashboard  {dashboard}      API  {dashboard}/api")
        print("A new CloudFront address needs some minutes to work. To create the first API key, run:\n")
    else:
        print(f"\nAPI  {outputs['ApiUrl']}      To create the first API key, run:\n")
    command = f"cargo run --bin signals -- key create --name first --scopes {SCOPES} --agents '*' --stack {name}"
    print(f"    AWS_REGION={environment.region} {command}")


if __name__ == "__main__":
    main()
