"""template.yaml as CloudFormation gets it: after SAM has made functions, permissions and routes of its short forms."""

import logging
import os
import pathlib

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

# It warns that nobody wants its own statistics.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)

ROOT = pathlib.Path(__file__).resolve().parents[2]


class ManagedPolicies:
    """The policies of AWS that SAM would attach by name: their ARNs are of no account, so no account is asked."""

    def load(self):
        return {}


def source():
    """The template as it is written, each short form spelled out: `!Ref X` as `{"Ref": "X"}`."""
    return yaml_parse((ROOT / "template.yaml").read_text())


def process(template):
    """What the SAM transform makes of `template`, which it changes."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # Where `sam package` uploads the code to; the transform takes no folder.
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    return transform(template, {}, ManagedPolicies())
