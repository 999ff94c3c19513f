"""The deployed stack of an environment: its name and parameters in samconfig.toml, and what AWS says of it."""

import pathlib
import sys

import boto3
import tomlkit

ROOT = pathlib.Path(__file__).resolve().parents[1]


def add_arguments(parser):
    """What every script wants to know of the stack it is for."""
    parser.add_argument("--env", required=True, help="the environment in samconfig.toml, such as dev")
    parser.add_argument("--stack", help="another name for the stack than samconfig.toml has")


class Environment:
    """A section of samconfig.toml."""

    def __init__(self, arguments):
        config = tomlkit.parse((ROOT / "samconfig.toml").read_text())
        names = [name for name, section in config.items() if isinstance(section, dict) and "deploy" in section]
        if arguments.env not in names:
            sys.exit(f"there is no environment {arguments.env!r} in samconfig.toml, only {' and '.join(names)}: say ENV=…")
        section = config[arguments.env]
        self.name = arguments.env
        self.stack = arguments.stack or str(section["global"]["parameters"]["stack_name"])
        self.parameters = [str(override) for override in section["deploy"]["parameters"]["parameter_overrides"]]


def outputs(stack):
    """The outputs of the deployed `stack` by their names, or nothing where there is no such stack."""
    cloudformation = boto3.client("cloudformation")
    try:
        described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return {}
        raise
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
