"""Each function has exactly the permissions that its code needs."""

import copy
import unittest

from permissions import faults
from processed import process, source


class Permissions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.template = process(source())

    def faults_after(self, change):
        """Returns the faults of a template whose statements of post-log's role were modified by `change`."""
        template = copy.deepcopy(self.template)
        policies = template["Resources"]["PostLogRole"]["Properties"]["Policies"]
        change(policies[0]["PolicyDocument"]["Statement"], template["Resources"])
        return "\n".join(faults(template))

    def test_permissions_match_the_binaries(self):
        self.assertEqual([], faults(copy.deepcopy(self.template)))

    def test_wildcard_action_is_reported(self):
        found = self.faults_after(lambda statements, _: statements[0].update(Action="dynamodb:*"))
        self.assertIn("PostLogFunction: GetApiKeys allows dynamodb:*, a wildcard", found)

    def test_lists_of_actions_or_resources_are_reported(self):
        found = self.faults_after(lambda statements, _: statements[0].update(Action=["dynamodb:GetItem", "dynamodb:Query"]))
        self.assertIn("GetApiKeys has a list as Action", found)
        found = self.faults_after(lambda statements, _: statements[0].update(Resource=[statements[0]["Resource"]]))
        self.assertIn("GetApiKeys has a list as Resource", found)

    def test_resource_beyond_the_prefix_is_reported(self):
        whole_bucket = {"Fn::Sub": "${LogBucket.Arn}/*"}
        found = self.faults_after(lambda statements, _: statements[1].update(Resource=whole_bucket))
        self.assertIn("may s3:PutObject on ${LogBucket.Arn}/*, which is more than", found)
        found = self.faults_after(lambda statements, _: statements[0].update(Resource="*"))
        self.assertIn("may dynamodb:GetItem on *, which is more than", found)

    def test_index_that_the_table_lacks_is_reported(self):
        def change(_, resources):
            statements = resources["GetFeedbackRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            statements[1]["Resource"] = {"Fn::Sub": "${FeedbackTable.Arn}/index/*"}

        found = self.faults_after(change)
        self.assertIn("GetFeedbackFunction: may dynamodb:Query on ${FeedbackTable.Arn}/index/*, which is more than", found)

    def test_listing_without_a_prefix_is_reported(self):
        def change(_, resources):
            statements = resources["GetLogsRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
            del statements[1]["Condition"]

        self.assertIn("GetLogsFunction: may s3:ListBucket on LogBucket.Arn, which is more than", self.faults_after(change))

    def test_unused_permission_is_reported(self):
        unused = {"Sid": "DeleteLogs", "Effect": "Allow", "Action": "s3:DeleteObject", "Resource": {"Fn::Sub": "${LogBucket.Arn}/logs/*"}}
        found = self.faults_after(lambda statements, _: statements.append(unused))
        self.assertEqual("PostLogFunction: may s3:DeleteObject on ${LogBucket.Arn}/logs/*, which its code does not call", found)

    def test_table_unknown_to_the_code_is_reported(self):
        def change(statements, resources):
            other = copy.deepcopy(statements[0])
            other["Resource"] = {"Fn::GetAtt": ["EventsTable", "Arn"]}
            statements.append(other)
            variables = resources["PostLogFunction"]["Properties"]["Environment"]["Variables"]
            variables["SIGNALS_EVENTS_TABLE"] = {"Ref": "EventsTable"}

        found = self.faults_after(change)
        self.assertIn("may dynamodb:GetItem on EventsTable.Arn, whose name its code does not read", found)

    def test_missing_permission_is_reported(self):
        found = self.faults_after(lambda statements, _: statements.pop())
        self.assertEqual("PostLogFunction: may not sqs:SendMessage, which its code calls", found)

    def test_missing_permission_of_lambda_is_reported(self):
        def change(_, resources):
            resources["RetryEventsRole"]["Properties"]["Policies"][1]["PolicyDocument"]["Statement"].pop(1)

        found = self.faults_after(change)
        self.assertEqual("RetryEventsFunction: may not sqs:DeleteMessage on RetryQueue.Arn, which Lambda does for it", found)

    def test_policies_generated_by_sam_are_reported(self):
        template = source()
        for name in ("PostLog", "RetryEvents", "EvaluateEvents"):
            del template["Resources"][f"{name}Function"]["Properties"]["Role"]
        found = "\n".join(faults(process(template)))
        for function, policy in [
            ("PostLogFunction", "service-role/AWSLambdaBasicExecutionRole"),
            ("PostLogFunction", "AWSXrayWriteOnlyAccess"),
            ("RetryEventsFunction", "service-role/AWSLambdaSQSQueueExecutionRole"),
            ("EvaluateEventsFunction", "service-role/AWSLambdaDynamoDBExecutionRole"),
        ]:
            self.assertIn(f'{function}: has the policy "arn:aws:iam::aws:policy/{policy}"', found)

    def test_shared_or_widely_trusted_role_is_reported(self):
        def change(_, resources):
            resources["GetLogsFunction"]["Properties"]["Role"] = resources["PostLogFunction"]["Properties"]["Role"]
            trust = resources["PostLogRole"]["Properties"]["AssumeRolePolicyDocument"]
            trust["Statement"][0]["Principal"] = {"AWS": "*"}

        found = self.faults_after(change)
        self.assertIn("PostLogFunction: shares its role with GetLogsFunction", found)
        self.assertIn('PostLogFunction: its role can be assumed by others than Lambda: {"AWS": "*"}', found)

    def test_open_bucket_is_reported(self):
        def change(_, resources):
            cloudfront = resources["DashboardBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"][1]
            cloudfront["Principal"] = "*"

        self.assertIn("DashboardBucketPolicy: CloudFront allows more than one caller", self.faults_after(change))


if __name__ == "__main__":
    unittest.main()
