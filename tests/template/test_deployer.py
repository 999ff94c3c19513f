"""Tests of the policies in deploy/: they cover all services of the stack and trust only one repository."""

import json
import unittest

from permissions import listed
from processed import ROOT, process, source

# Services whose IAM name differs from the resource type in lower case.
SERVICES = {"ApiGatewayV2": "apigateway"}


def document(name):
    return json.loads((ROOT / "deploy" / name).read_text())


class Deployer(unittest.TestCase):
    def test_policy_covers_each_service_of_the_stack(self):
        kinds = {resource["Type"].split("::")[1] for resource in process(source())["Resources"].values()}
        services = {SERVICES.get(kind, kind.lower()) for kind in kinds}
        actions = [action for statement in document("policy.json")["Statement"] for action in listed(statement["Action"])]
        self.assertLessEqual(services | {"cloudformation"}, {action.split(":")[0] for action in actions})

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
                    self.assertRegex(resource, r"^arn:aws:iam::ACCOUNT:(role|policy)/STACK-\*$")

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
