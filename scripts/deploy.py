"""Deploys the stack of an environment and publishes its dashboard.

    python scripts/deploy.py --env dev

Builds the functions first, unless it is given a template that is built. AWS is found as the AWS SDKs find it.
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
    parser.add_argument("--template", type=pathlib.Path, help="a template that is built, to deploy as it is")
    parser.add_argument("--set", nargs="*", default=[], metavar="PARAMETER=VALUE", help="parameters besides samconfig.toml's")
    arguments = parser.parse_args()
    environment = stack.Environment(arguments)
    print(f"{environment.stack} goes to {environment.region}", flush=True)
    make_way(environment.stack)
    # As it is deployed: the processor is one of the parameters.
    parameters = [*environment.parameters, *arguments.set]
    template = arguments.template or build(parameters)
    sam(
        "deploy",
        # It would look for it beside the template.
        "--config-file", ROOT / "samconfig.toml",
        "--config-env", environment.name,
        "--template-file", template,
        "--stack-name", environment.stack,
        "--region", environment.region,
        "--no-progressbar",
        "--parameter-overrides", *parameters,
    )  # fmt: skip
    publish.publish(environment.stack)
    tell(environment)


def make_way(name):
    """CloudFormation updates no stack whose first deployment failed, and there is nothing in it to keep."""
    deployed = stack.Stack.find(name)
    if deployed and deployed.has_never_worked:
        print(f"removing {name}, whose first deployment failed: {deployed.status}", flush=True)
        deployed.remove_failed_creation()


def build(parameters):
    sam("build", "--parameter-overrides", *parameters)
    return ROOT / ".aws-sam" / "build" / "template.yaml"


def sam(*arguments):
    """Runs the sam that is installed beside this Python."""
    program = pathlib.Path(sys.executable).parent / "sam"
    status = subprocess.run([program, *map(str, arguments)], cwd=ROOT).returncode
    if status:
        sys.exit(status)


def tell(environment):
    name, outputs = environment.stack, stack.Stack.find(environment.stack).outputs
    if dashboard := outputs.get("DashboardUrl"):
        print(f"\nDashboard  {dashboard}      API  {dashboard}/api")
        print("It takes CloudFront some minutes to know a new address. The first key:\n")
    else:
        print(f"\nAPI  {outputs['ApiUrl']}      The first key:\n")
    command = f"cargo run -p local -- key create --name first --scopes {SCOPES} --agents '*' --stack {name}"
    print(f"    AWS_REGION={environment.region} {command}")


if __name__ == "__main__":
    main()
