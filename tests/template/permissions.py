"""Compares the permissions of the functions in a processed template with the AWS operations in their binaries.

The linker removes calls that a function's code cannot reach, so the binary's symbols name exactly the operations of the AWS SDKs that
the function uses. The symbols do not name the tables. Therefore a table's name must come from an environment variable that the
binary reads.
"""

import collections
import functools
import json
import os
import pathlib
import re
import subprocess

from processed import ROOT

OPERATION = re.compile(r"aws_sdk_([a-z0-9]+)::operation::([a-z0-9_]+)")

# IAM actions of operations with a different name. None: the operation needs no permission from us.
ACTIONS = {
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
    "dynamodb:TransactWriteItems": "dynamodb:PutItem",
    "sqs:SendMessageBatch": "sqs:SendMessage",
    # Used by the SDK itself, for directory buckets.
    "s3:CreateSession": None,
}

# Actions that Lambda performs with a function's role before it invokes the function.
STREAM_ACTIONS = {
    "dynamodb:DescribeStream": ".StreamArn",
    "dynamodb:GetRecords": ".StreamArn",
    "dynamodb:GetShardIterator": ".StreamArn",
    "dynamodb:ListStreams": ".Arn}/stream/*",
}
QUEUE_ACTIONS = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
LOG_ACTIONS = ("logs:CreateLogStream", "logs:PutLogEvents")
# IAM supports no resource-level permissions for these actions.
TRACE_ACTIONS = ("xray:PutTraceSegments", "xray:PutTelemetryRecords")

TABLE, BUCKET, QUEUE = "AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue"

Grant = collections.namedtuple("Grant", "action resource")


class Program:
    """A function's binary: the operations that it can call and the environment variables that it reads."""

    def __init__(self, actions, content):
        self.actions, self.content = actions, content

    @classmethod
    @functools.cache
    def of(cls, name):
        """Loads the binary that `cargo build` created."""
        target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
        path = target / "debug" / name
        symbols = subprocess.run(["nm", "-C", path], capture_output=True, text=True, check=True).stdout
        operations = {f"{service}:{pascal(operation)}" for service, operation in OPERATION.findall(symbols)}
        actions = {ACTIONS.get(operation, operation) for operation in operations} - {None}
        return cls(actions, path.read_bytes())

    def reads(self, variable):
        return variable.encode() in self.content


def pascal(snake):
    return "".join(word.capitalize() for word in snake.split("_"))


def faults(template, program=Program.of):
    """Returns a line of text for each permission that is too wide or missing. `program` returns a binary by name."""
    resources = template["Resources"]
    found = [fault for name in of_type(resources, "AWS::Lambda::Function") for fault in Role(resources, name, program).faults()]
    for name in of_type(resources, "AWS::Lambda::Permission"):
        if "SourceArn" not in resources[name]["Properties"]:
            found.append(f"{name}: has no SourceArn, so other resources of the service may call the function")
    for name in of_type(resources, "AWS::S3::BucketPolicy"):
        for statement in resources[name]["Properties"]["PolicyDocument"]["Statement"]:
            found += [f"{name}: {fault}" for fault in bucket_statement_faults(statement)]
    return found


def of_type(resources, kind):
    return [name for name, resource in resources.items() if resource["Type"] == kind]


def bucket_statement_faults(statement):
    # Denials may be as wide as necessary.
    if statement["Effect"] == "Deny":
        return
    yield from shape_faults(statement)
    if statement["Principal"] == "*" or not statement.get("Condition"):
        yield f"{statement['Sid']} allows more than one caller"


def shape_faults(statement):
    sid = statement.get("Sid", json.dumps(statement))
    if statement.get("Effect") != "Allow" or set(statement) & {"NotAction", "NotResource"}:
        yield f"{sid} uses NotAction or NotResource, or does not allow"
        return
    for part in ("Action", "Resource"):
        if isinstance(statement[part], list):
            yield f"{sid} has a list as {part}: a statement must have one"
    for action in listed(statement["Action"]):
        if "*" in action:
            yield f"{sid} allows {action}, a wildcard"


def listed(value):
    return value if isinstance(value, list) else [value]


class Role:
    """The role of the function `name`."""

    def __init__(self, resources, name, program):
        self.resources, self.name = resources, name
        self.function = resources[name]["Properties"]
        self.program = program(resources[name]["Metadata"]["BuildProperties"]["Binary"])
        self.role = self.function["Role"].get("Fn::GetAtt", [None])[0]

    def faults(self):
        return [f"{self.name}: {fault}" for fault in self.all_faults()]

    def all_faults(self):
        if self.role not in self.resources:
            yield "has a role that is not in the template"
            return
        sharing = [
            other
            for other in of_type(self.resources, "AWS::Lambda::Function")
            if other != self.name and self.resources[other]["Properties"]["Role"] == self.function["Role"]
        ]
        if sharing:
            yield f"shares its role with {', '.join(sharing)}"
        yield from self.trust_faults()
        statements = []
        for policy in self.resources[self.role]["Properties"].get("ManagedPolicyArns", []):
            owned = policy.get("Ref") if isinstance(policy, dict) else None
            if owned in self.resources:
                statements += self.resources[owned]["Properties"]["PolicyDocument"]["Statement"]
            else:
                yield f"has the policy {json.dumps(policy)}, which is not in the template, so its content is unknown"
        for policy in self.resources[self.role]["Properties"].get("Policies", []):
            statements += policy["PolicyDocument"]["Statement"]
        well_formed = []
        for statement in statements:
            misshapen = list(shape_faults(statement))
            yield from misshapen
            if not misshapen:
                well_formed.append(statement)
        yield from self.grant_faults(well_formed)

    def trust_faults(self):
        for statement in self.resources[self.role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
            if statement["Principal"] != {"Service": "lambda.amazonaws.com"}:
                yield f"its role can be assumed by others than Lambda: {json.dumps(statement['Principal'])}"

    def grant_faults(self, statements):
        owed = self.owed_to_lambda()
        granted = set()
        for statement in statements:
            action, resource = statement["Action"], named(statement["Resource"])
            granted.add(Grant(action, resource))
            if Grant(action, resource) in owed:
                continue
            # Without s3:ListBucket, S3 answers 403 instead of 404 for an object that does not exist.
            is_for_404 = action == "s3:ListBucket" and "s3:GetObject" in self.program.actions
            if action not in self.program.actions and not is_for_404:
                yield f"may {action} on {resource}, which its code does not call"
            yield from self.resource_faults(statement)
        for action, resource in sorted(owed - granted):
            yield f"may not {action} on {resource}, which Lambda does for it"
        for action in sorted(self.program.actions - {grant.action for grant in granted - owed}):
            yield f"may not {action}, which its code calls"

    def owed_to_lambda(self):
        """Returns what Lambda itself needs: writing logs and traces, reading streams and queues, dead-lettering."""
        owed = {Grant(action, "*") for action in TRACE_ACTIONS}
        owed |= {Grant(action, f"{self.function['LoggingConfig']['LogGroup']['Ref']}.Arn") for action in LOG_ACTIONS}
        for mapping in of_type(self.resources, "AWS::Lambda::EventSourceMapping"):
            mapping = self.resources[mapping]["Properties"]
            if mapping["FunctionName"] != {"Ref": self.name}:
                continue
            source, attribute = mapping["EventSourceArn"]["Fn::GetAtt"]
            if attribute == "StreamArn":
                sub = {action: f"{source}{end}" for action, end in STREAM_ACTIONS.items() if end == ".StreamArn"}
                owed |= {Grant(action, resource) for action, resource in sub.items()}
                owed.add(Grant("dynamodb:ListStreams", f"${{{source}{STREAM_ACTIONS['dynamodb:ListStreams']}"))
            else:
                owed |= {Grant(action, f"{source}.Arn") for action in QUEUE_ACTIONS}
            if destination := mapping.get("DestinationConfig"):
                owed.add(Grant("sqs:SendMessage", named(destination["OnFailure"]["Destination"])))
        return owed

    def resource_faults(self, statement):
        """Checks that the resource is a table, prefix, queue or parameter whose name the function reads."""
        action, resource = statement["Action"], named(statement["Resource"])
        owner = re.match(r"\$?\{?(\w+)\.Arn", resource)
        owner = owner[1] if owner else None
        kind = self.resources.get(owner, {}).get("Type")
        if action == "s3:ListBucket":
            # Without IfExists, S3 answers 403 instead of 404 when an object does not exist: then there is no prefix.
            operator = "StringLikeIfExists" if "s3:GetObject" in self.program.actions else "StringLike"
            prefix = statement.get("Condition", {}).get(operator, {}).get("s3:prefix", "")
            fits = kind == BUCKET and resource == f"{owner}.Arn" and str(prefix).startswith("logs/")
        elif action.startswith("s3:"):
            fits = kind == BUCKET and resource == f"${{{owner}.Arn}}/logs/*"
        elif action.startswith("ssm:"):
            parameter = resource.partition(":parameter")[2]
            fits = parameter.startswith("/${AWS::StackName}/") and "*" not in parameter
            owner = {"Fn::Sub": parameter}
        elif kind == TABLE and "/index/" in resource:
            indexes = self.resources[owner]["Properties"].get("GlobalSecondaryIndexes", [])
            fits = resource in {f"${{{owner}.Arn}}/index/{index['IndexName']}" for index in indexes}
        else:
            fits = kind in (TABLE, QUEUE) and resource == f"{owner}.Arn"
        if not fits:
            yield f"may {action} on {resource}, which is more than a table or an index, the prefix logs/ or a queue"
            return
        if not any(self.program.reads(variable) for variable in self.variables_of(owner)):
            yield f"may {action} on {resource}, whose name its code does not read"

    def variables_of(self, owner):
        variables = self.function.get("Environment", {}).get("Variables", {})
        named = owner if isinstance(owner, dict) else {"Ref": owner}
        return [variable for variable, value in variables.items() if value == named]


def named(arn):
    """Returns an ARN of the template as text: `Table.Arn`, or text with `${…}`."""
    if isinstance(arn, dict):
        if parts := arn.get("Fn::GetAtt"):
            return parts if isinstance(parts, str) else ".".join(parts)
        if text := arn.get("Fn::Sub"):
            return text if isinstance(text, str) else json.dumps(text)
    return arn if isinstance(arn, str) else json.dumps(arn)
