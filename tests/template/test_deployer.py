"""Tests of the policies in deploy/: they allow what CloudFormation calls and trust only one repository."""

import json
import unittest
from fnmatch import fnmatchcase

from permissions import listed
from policy_sentry.querying.actions import get_action_data
from processed import ROOT, process, source


def document(name):
    return json.loads((ROOT / "deploy" / name).read_text())


def allows(action, arn):
    """Returns whether policy.json allows an action on a resource, or on all resources if the action has no resource types."""
    service, name = action.split(":")
    rows = (get_action_data(service, name) or {}).get(service, [])
    if rows and {row["resource_arn_format"] for row in rows} == {"*"}:
        arn = "*"
    return any(
        any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
        and any(fnmatchcase(arn, pattern) for pattern in listed(statement["Resource"]))
        for statement in document("policy.json")["Statement"]
    )


class Deployer(unittest.TestCase):
    def test_policy_allows_what_cloudformation_calls(self):
        """CloudFormation calls the actions in handlers.json with the deployer's permissions."""
        # Source: `handlers` in `aws cloudformation describe-type`, without actions for properties that the stack does not set.
        handlers = json.loads((ROOT / "tests" / "template" / "handlers.json").read_text())
        resources = process(source())["Resources"]
        missing = []
        for kind in sorted({resource["Type"] for resource in resources.values()}):
            for action in handlers[kind]["actions"]:
                action = f"{handlers[kind]['service']}:{action}"
                missing += [f"{action} on {arn}" for arn in handlers[kind]["arns"] if not allows(action, arn)]
        self.assertEqual([], missing)

    def test_policy_lets_api_gateway_deliver_its_access_log(self):
        (statement,) = [one for one in document("policy.json")["Statement"] if one["Sid"] == "AccessLog"]
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
        needed = {"CreateLogDelivery", "PutResourcePolicy", "UpdateLogDelivery", "DeleteLogDelivery", "DescribeResourcePolicies"}
        needed |= {"GetLogDelivery", "ListLogDeliveries"}
        self.assertLessEqual({f"logs:{action}" for action in needed}, set(statement["Action"]))
        self.assertEqual("*", statement["Resource"])

    def test_policy_allows_only_roles_of_the_stack(self):
        for statement in document("policy.json")["Statement"]:
            if any(action.startswith("iam:") for action in listed(statement["Action"])):
                for resource in listed(statement["Resource"]):
                    self.assertRegex(resource, r"^arn:aws:iam::ACCOUNT:(role|policy)/(STACK-\*|aws-service-role/ops\.apigateway\..*)$")

    def test_policy_allows_the_service_linked_role_of_the_api(self):
        """API Gateway creates the role with the first API of an account, as the deployer."""
        # https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html
        role = "role/aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway"
        self.assertTrue(allows("iam:CreateServiceLinkedRole", f"arn:aws:iam::ACCOUNT:{role}"))

    def test_policy_fits_into_a_managed_policy(self):
        # IAM does not count white space. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        self.assertLessEqual(len(json.dumps(document("policy.json"), separators=(",", ":"))), 6144)

    def test_role_trusts_one_environment_of_one_repository(self):
        (statement,) = document("github-trust.json")["Statement"]
        conditions = statement["Condition"]["StringEquals"]
        self.assertEqual("sts.amazonaws.com", conditions["token.actions.githubusercontent.com:aud"])
        self.assertRegex(conditions["token.actions.githubusercontent.com:sub"], "^repo:[^*]+:environment:[^*]+$")


if __name__ == "__main__":
    unittest.main()
