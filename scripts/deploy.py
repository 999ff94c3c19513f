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
    template = arguments.template or build(arguments.set)
    sam(
        "deploy",
        # It would look for it beside the template.
        "--config-file", ROOT / "samconfig.toml",
        "--config-env", environment.name,
        "--template-file", template,
        "--stack-name", environment.stack,
        "--no-progressbar",
        "--parameter-overrides", *environment.parameters, *arguments.set,
    )  # fmt: skip
    publish.publish(environment.stack)
    tell(environment.stack)


def build(parameters):
    sam("build", *(["--parameter-overrides", *parameters] if parameters else []))
    return ROOT / ".aws-sam" / "build" / "template.yaml"


def sam(*arguments):
    """Runs the sam that is installed beside this Python."""
    program = pathlib.Path(sys.executable).parent / "sam"
    status = subprocess.run([program, *map(str, arguments)], cwd=ROOT).returncode
    if status:
        sys.exit(status)


def tell(name):
    url = stack.outputs(name)["DashboardUrl"]
    print(f"\nDashboard  {url}      API  {url}/api")
    print("It takes CloudFront some minutes to know a new address. The first key:\n")
    print(f"    cargo run -p local -- key create --name first --scopes {SCOPES} --agents '*' --stack {name}")


if __name__ == "__main__":
    main()
