"""What holds for the template as a whole."""

import json
import re
import unittest

from permissions import of_type
from processed import process, source


class Stack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source = source()
        cls.resources = process(source())["Resources"]

    def test_the_dashboard_shows_each_function_queue_and_table(self):
        body = self.resources["OperationsDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        shown = json.dumps(json.loads(body))
        for kind in ("AWS::Lambda::Function", "AWS::DynamoDB::Table", "AWS::SQS::Queue"):
            for name in of_type(self.resources, kind):
                self.assertRegex(shown, r"\$\{%s(\.QueueName)?\}" % name)

    def test_data_outlives_the_stack_in_production_alone(self):
        kept = {"Fn::If": ["IsProduction", "Retain", "Delete"]}
        data = of_type(self.resources, "AWS::DynamoDB::Table") + of_type(self.resources, "AWS::SQS::Queue") + ["LogBucket"]
        for name in data:
            self.assertEqual(kept, self.resources[name]["DeletionPolicy"], name)
            self.assertEqual(kept, self.resources[name]["UpdateReplacePolicy"], name)
        for name in of_type(self.resources, "AWS::DynamoDB::Table"):
            protected = self.resources[name]["Properties"]["DeletionProtectionEnabled"]
            self.assertEqual({"Fn::If": ["IsProduction", True, False]}, protected, name)

    def test_no_origin_may_call_the_api_unless_one_is_named(self):
        cors = self.resources["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
        self.assertEqual(("HasAllowedOrigin", {"Ref": "AWS::NoValue"}), (cors[0], cors[2]))
        self.assertIn("allowOrigins", cors[1])
        self.assertEqual("", self.source["Parameters"]["AllowedOrigin"]["Default"])

    def test_each_bucket_is_private_and_refuses_plain_http(self):
        policies = [self.resources[name]["Properties"] for name in of_type(self.resources, "AWS::S3::BucketPolicy")]
        denying = {policy["Bucket"]["Ref"] for policy in policies if self.denies_plain_http(policy)}
        for name in of_type(self.resources, "AWS::S3::Bucket"):
            block = self.resources[name]["Properties"]["PublicAccessBlockConfiguration"]
            self.assertEqual([True] * 4, list(block.values()), name)
            self.assertIn(name, denying)

    @staticmethod
    def denies_plain_http(policy):
        return any(
            statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            for statement in policy["PolicyDocument"]["Statement"]
        )

    def test_each_function_logs_to_a_group_that_forgets(self):
        for name in of_type(self.resources, "AWS::Lambda::Function"):
            group = self.resources[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
            self.assertEqual({"Ref": "FunctionLogDays"}, self.resources[group]["Properties"]["RetentionInDays"], name)

    def test_the_access_log_names_no_user_and_no_key(self):
        log = self.resources["ApiapiStage"]["Properties"]["AccessLogSettings"]["Format"]
        self.assertIn("$context.routeKey", log)
        for private in ("path", "authorizer", "identity", "sourceIp", "userAgent", "x-api-key"):
            self.assertNotRegex(log, re.compile(private, re.IGNORECASE))

    def test_the_throttled_routes_are_routes(self):
        routes = {
            f"{method.upper()} {path}"
            for path, methods in self.resources["Api"]["Properties"]["Body"]["paths"].items()
            for method in methods
        }
        self.assertLessEqual(set(self.resources["ApiapiStage"]["Properties"]["RouteSettings"]), routes)


if __name__ == "__main__":
    unittest.main()
