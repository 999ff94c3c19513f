"""Checks policy documents against AWS's Service Authorization Reference, of which policy_sentry contains a copy.

cfn-lint checks no action names in templates with the SAM transform, and no condition keys in any template. A misspelled condition
key matters most: a `ForAllValues` condition on a key that no request has allows everything.
"""

import functools
import re

from permissions import listed, of_type
from policy_sentry.querying.actions import get_action_data
from policy_sentry.querying.all import get_all_service_prefixes

PSEUDO_PARAMETERS = {"Partition": "aws", "Region": "REGION", "AccountId": "ACCOUNT", "StackName": "STACK"}
# ARNs of the stack's resources, with the placeholders of deploy/policy.json.
ARNS = {
    "AWS::DynamoDB::Table": "arn:aws:dynamodb:REGION:ACCOUNT:table/STACK-NAME",
    "AWS::Logs::LogGroup": "arn:aws:logs:REGION:ACCOUNT:log-group:/aws/STACK:*",
    "AWS::S3::Bucket": "arn:aws:s3:::STACK-NAME",
    "AWS::SQS::Queue": "arn:aws:sqs:REGION:ACCOUNT:STACK-NAME",
}
# Placeholders of the reference whose values may contain slashes or colons. `\N{NULL}` stands for all other placeholders.
LONG = re.compile(r"\$\{(ObjectName|LogGroupName|ParameterNameWithoutLeadingSlash|StreamLabel|\w+WithPath)\}")
SHORT = re.compile(r"\$\{\w+\}")
GLOBAL_KEYS = {"aws:securetransport", "aws:sourcearn"}
# API Gateway requires these actions, but the reference lacks them: https://github.com/aws-amplify/amplify-cli/issues/12316
UNLISTED = {"apigateway:TagResource", "apigateway:UntagResource"}
# The reference knows no resources for this action, but Lambda's documentation grants it for streams:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.Lambda.Tutorial.html
WITH_RESOURCE = {"dynamodb:ListStreams"}


def documents(resources):
    """Yields the name and the resolved content of each policy document of a processed template."""
    for name in of_type(resources, "AWS::IAM::Role"):
        for policy in resources[name]["Properties"].get("Policies", []):
            yield f"{name}, {policy['PolicyName']}", resolved(policy["PolicyDocument"], resources)
    for kind in ("AWS::IAM::ManagedPolicy", "AWS::S3::BucketPolicy"):
        for name in of_type(resources, kind):
            yield name, resolved(resources[name]["Properties"]["PolicyDocument"], resources)


def resolved(value, resources):
    """Returns `value` with an ARN in place of each intrinsic function."""
    if isinstance(value, list):
        return [resolved(item, resources) for item in value]
    if not isinstance(value, dict):
        return value
    if "Fn::GetAtt" in value:
        name, attribute = value["Fn::GetAtt"]
        return ARNS[resources[name]["Type"]] + ("/stream/LABEL" if attribute == "StreamArn" else "")
    if "Fn::Sub" in value:
        return re.sub(r"\$\{(AWS::)?(\w+)(\.Arn)?\}", lambda found: substituted(found, resources), value["Fn::Sub"])
    return {key: resolved(item, resources) for key, item in value.items()}


def substituted(found, resources):
    pseudo, name, attribute = found.groups()
    if pseudo:
        return PSEUDO_PARAMETERS[name]
    return ARNS[resources[name]["Type"]] if attribute else "ID"


def faults(document):
    """Yields a line of text for each unknown action, resource or condition key."""
    for statement in document["Statement"]:
        for action in listed(statement["Action"]):
            for fault in action_faults(action, statement):
                yield f"{statement['Sid']}: {action} {fault}"


def action_faults(action, statement):
    service, name = action.split(":")
    if name == "*":
        if service not in get_all_service_prefixes():
            yield "is unknown"
        return
    rows = (get_action_data(service, name) or {}).get(service)
    if not rows:
        if action not in UNLISTED:
            yield "is unknown"
        return
    formats = {row["resource_arn_format"] for row in rows} - {"*"}
    resources = listed(statement["Resource"])
    if formats:
        fits = any(overlap(resource, arn_pattern(form)) for resource in resources for form in formats)
    else:
        fits = "*" in resources or action in WITH_RESOURCE
    if not fits:
        yield f"does not apply to {resources}"
    known = GLOBAL_KEYS | {key.lower() for row in rows for key in row["condition_keys"]}
    for keys in statement.get("Condition", {}).values():
        for key in keys:
            if key.lower() not in known:
                yield f"has no condition key {key}"


def arn_pattern(form):
    return SHORT.sub("\0", LONG.sub("*", form))


@functools.cache
def overlap(left, right):
    """Returns whether a text exists that both patterns match. `*` is any text, NUL any text without slashes and colons."""
    if not left or not right:
        return not (left + right).strip("*\0")
    for one, other in ((left, right), (right, left)):
        if one[0] == "*":
            return overlap(one[1:], other) or overlap(one, other[1:])
    for one, other in ((left, right), (right, left)):
        if one[0] == "\0":
            return overlap(one[1:], other) or other[0] not in "/:" and overlap(one, other[1:])
    return left[0] == right[0] and overlap(left[1:], right[1:])
