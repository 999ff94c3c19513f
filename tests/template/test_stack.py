"""Tests of the template as a whole."""

import json
import re
import unittest
from pathlib import Path

from permissions import Program, of_type
from processed import process, source


class Stack(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.source = source()
        cls.resources = process(source())["Resources"]

    def test_dashboard_shows_each_function_queue_and_table(self):
        body = self.resources["OperationsDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        shown = json.dumps(json.loads(body))
        for kind in ("AWS::Lambda::Function", "AWS::DynamoDB::Table", "AWS::SQS::Queue"):
            for name in of_type(self.resources, kind):
                self.assertRegex(shown, r"\$\{%s(\.QueueName)?\}" % name)

    def test_late_alarms_see_messages_between_their_retries(self):
        """SQS's own age ignores messages after three receives, and retries are finally 15 minutes apart."""
        longest_pause = 900
        mappings = [self.resources[name]["Properties"] for name in of_type(self.resources, "AWS::Lambda::EventSourceMapping")]
        queues = [arn[0] for arn in (mapping["EventSourceArn"]["Fn::GetAtt"] for mapping in mappings) if arn[1] == "Arn"]
        self.assertEqual(3, len(queues))
        for queue in queues:
            wanted = ("Signals", "QueueWait", [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}])
            alarms = [name for name in self.alarms() if any(watched == wanted for watched, _ in self.watched(name))]
            self.assertEqual(1, len(alarms), queue)
            alarm = self.resources[alarms[0]]["Properties"]
            (period,) = {period for watched, period in self.watched(alarms[0]) if watched == wanted}
            without_data = (alarm["EvaluationPeriods"] - alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])) * period
            self.assertGreaterEqual(without_data, longest_pause, alarms)
            self.assertEqual("notBreaching", alarm["TreatMissingData"])

    def test_dropped_alerts_and_throttled_functions_alarm(self):
        watched = [metric[:2] for name in self.alarms() for metric, _ in self.watched(name)]
        self.assertIn(("Signals", "DroppedMessages"), watched)
        self.assertIn(("AWS/Lambda", "Throttles"), watched)

    def test_functions_write_the_custom_metrics_that_are_watched(self):
        body = self.resources["OperationsDashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
        metrics = set(re.findall(r'"Signals", "(\w+)"|MetricName=\\"(\w+)', body))
        metrics |= {metric[1:2] for name in self.alarms() for metric, _ in self.watched(name) if metric[0] == "Signals"}
        functions = [Program.of(self.binary(name)) for name in of_type(self.resources, "AWS::Lambda::Function")]
        for metric in {"".join(names) for names in metrics}:
            self.assertTrue(any(function.reads(metric) for function in functions), metric)

    def test_throttles_of_each_table_raise_an_alarm(self):
        watched = [metric for name in self.alarms() if name.endswith("ThrottlesAlarm") for metric, _ in self.watched(name)]
        for table in of_type(self.resources, "AWS::DynamoDB::Table"):
            for metric in ("ReadThrottleEvents", "WriteThrottleEvents"):
                self.assertIn(("AWS/DynamoDB", metric, [{"Name": "TableName", "Value": {"Ref": table}}]), watched)

    def binary(self, function):
        return self.resources[function]["Metadata"]["BuildProperties"]["Binary"]

    def alarms(self):
        return of_type(self.resources, "AWS::CloudWatch::Alarm")

    def watched(self, alarm):
        """Returns the metrics of an alarm: namespace, name and dimensions, with the period."""
        properties = self.resources[alarm]["Properties"]
        stats = [metric["MetricStat"] for metric in properties.get("Metrics", []) if "MetricStat" in metric]
        metrics = [(stat["Metric"], stat["Period"]) for stat in stats] or [(properties, properties["Period"])]
        return [
            ((metric["Namespace"], metric["MetricName"], metric.get("Dimensions", [])), period)
            for metric, period in metrics
        ]

    def test_data_is_retained_only_in_production(self):
        def kept(policy):
            return {"Fn::If": ["IsProduction", policy, "Delete"]}

        tables = of_type(self.resources, "AWS::DynamoDB::Table")
        for name in [*tables, *of_type(self.resources, "AWS::SQS::Queue"), "LogBucket", "LogBucketPolicy"]:
            # CloudFormation cannot delete a protected table, so a rollback would fail.
            policy = "Retain" if name in tables else "RetainExceptOnCreate"
            self.assertEqual(kept(policy), self.resources[name].get("DeletionPolicy"), name)
            self.assertEqual(kept("Retain"), self.resources[name].get("UpdateReplacePolicy"), name)
        for name in tables:
            protected = self.resources[name]["Properties"]["DeletionProtectionEnabled"]
            self.assertEqual({"Fn::If": ["IsProduction", True, False]}, protected, name)

    def test_account_wide_names_have_stack_and_region(self):
        properties = {name: resource.get("Properties", {}) for name, resource in self.resources.items()}
        for name in (
            properties["OperationsDashboard"]["DashboardName"],
            properties["DashboardOriginAccess"]["OriginAccessControlConfig"]["Name"],
            properties["DashboardHeaders"]["ResponseHeadersPolicyConfig"]["Name"],
        ):
            self.assertEqual({"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}, name)
        # Other databases in the region may have the stack's name, so these names need a suffix.
        for name in (properties["LogDatabase"]["DatabaseInput"]["Name"], properties["WorkGroup"]["Name"]):
            self.assertEqual({"Fn::Sub": "${AWS::StackName}-interactions"}, name)

    def test_webhook_parameter_has_the_stacks_name(self):
        variables = self.resources["SendAlertsFunction"]["Properties"]["Environment"]["Variables"]
        self.assertEqual({"Fn::Sub": "/${AWS::StackName}/webhook"}, variables["SIGNALS_WEBHOOK_PARAMETER"])
        self.assertEqual(variables["SIGNALS_WEBHOOK_PARAMETER"], self.source["Outputs"]["WebhookParameter"]["Value"])

    def test_queues_to_redrive_are_outputs(self):
        outputs = [output["Value"] for output in self.source["Outputs"].values()]
        for name in of_type(self.resources, "AWS::SQS::Queue"):
            if policy := self.resources[name]["Properties"].get("RedrivePolicy"):
                self.assertIn({"Ref": name}, outputs)
                self.assertIn({"Ref": policy["deadLetterTargetArn"]["Fn::GetAtt"][0]}, outputs)

    def test_saved_queries_are_documented(self):
        text = (Path(__file__).resolve().parents[2] / "docs/operations.md").read_text()
        for name in of_type(self.resources, "AWS::Athena::NamedQuery"):
            self.assertIn(f"| {self.resources[name]['Properties']['Name']} |", text)

    def test_queues_have_timeouts_and_limits_that_sqs_accepts(self):
        for name in of_type(self.resources, "AWS::Lambda::EventSourceMapping"):
            mapping = self.resources[name]["Properties"]
            queue = self.resources[mapping["EventSourceArn"]["Fn::GetAtt"][0]]["Properties"]
            if "RedrivePolicy" in queue:
                function = self.resources[mapping["FunctionName"]["Ref"]]["Properties"]
                # Lambda rejects a visibility timeout below the function's timeout. AWS recommends six times the timeout.
                self.assertGreaterEqual(queue["VisibilityTimeout"], 6 * function["Timeout"], name)
                self.assertLessEqual(queue["RedrivePolicy"]["maxReceiveCount"], 1000, name)

    def test_stream_filters_use_fields_and_operators_that_exist(self):
        """A filter with a misspelled field matches no record, without an error."""
        known = {"eventName", "dynamodb", "Keys", "sk", "S", "prefix"}
        for name in of_type(self.resources, "AWS::Lambda::EventSourceMapping"):
            for criterion in self.resources[name]["Properties"].get("FilterCriteria", {}).get("Filters", []):
                json.loads(criterion["Pattern"])
                self.assertLessEqual(set(re.findall(r'"([\w-]+)":', criterion["Pattern"])), known, name)

    def test_queues_leave_concurrency_to_the_api(self):
        new_account = 10
        mappings = [self.resources[name]["Properties"] for name in of_type(self.resources, "AWS::Lambda::EventSourceMapping")]
        concurrency = [mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings if "ScalingConfig" in mapping]
        self.assertLessEqual(sum(concurrency), new_account - 4)
        # Lambda may throttle a queue's messages if the reservation is less than the queue's maximum.
        (assertion,) = self.source["Rules"]["ReservedConcurrency"]["Assertions"]
        (refused,) = assertion["Assert"]["Fn::Not"]
        self.assertEqual([str(number) for number in range(1, max(concurrency))], refused["Fn::Contains"][0])

    def test_cloudfront_can_be_omitted(self):
        edge = [name for name, resource in self.source["Resources"].items() if resource.get("Condition") == "HasDashboard"]
        self.assertIn("Dashboard", edge)
        for name, resource in self.source["Resources"].items():
            if name not in edge:
                for other in edge:
                    self.assertNotRegex(json.dumps(resource), r'"(Ref|Fn::GetAtt)": \[?"%s[".]' % other, name)
        for name, output in self.source["Outputs"].items():
            if any(f'"{other}"' in json.dumps(output["Value"]) or f"${{{other}." in json.dumps(output) for other in edge):
                self.assertEqual("HasDashboard", output.get("Condition"), name)

    def test_cloudfront_and_output_have_the_path_of_the_stage(self):
        stage = self.resources["ApiapiStage"]["Properties"]["StageName"]
        (behavior,) = self.resources["Dashboard"]["Properties"]["DistributionConfig"]["CacheBehaviors"]
        self.assertEqual(("api", f"/{stage}/*"), (behavior["TargetOriginId"], behavior["PathPattern"]))
        self.assertTrue(self.source["Outputs"]["ApiUrl"]["Value"]["Fn::Sub"].endswith(f"/{stage}"))

    def test_dashboard_answers_404_for_a_missing_file(self):
        statements = self.resources["DashboardBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        (listing,) = [statement for statement in statements if statement["Action"] == "s3:ListBucket"]
        self.assertEqual({"Fn::GetAtt": ["DashboardBucket", "Arn"]}, listing["Resource"])

    def test_tables_use_the_free_encryption_key(self):
        for name in of_type(self.resources, "AWS::DynamoDB::Table"):
            self.assertNotIn("SSESpecification", self.resources[name]["Properties"], name)

    def test_production_logs_warnings_and_traces_nothing_by_default(self):
        for name in of_type(self.resources, "AWS::Lambda::Function"):
            properties = self.resources[name]["Properties"]
            by_environment = {"Fn::If": ["IsProduction", "WARN", "INFO"]}
            chosen = {"Fn::If": ["HasSystemLogLevel", {"Ref": "SystemLogLevel"}, by_environment]}
            self.assertEqual(chosen, properties["LoggingConfig"].get("SystemLogLevel"), name)
            self.assertEqual({"Mode": {"Ref": "Tracing"}}, properties["TracingConfig"], name)
        self.assertEqual("PassThrough", self.source["Parameters"]["Tracing"]["Default"])

    def test_unauthorized_traffic_is_limited_and_alarmed(self):
        self.assertLessEqual(self.source["Parameters"]["RequestsPerSecond"]["Default"], 50)
        watched = [metric[:2] for name in self.alarms() for metric, _ in self.watched(name)]
        self.assertIn(("AWS/ApiGateway", "Count"), watched)

    def test_cors_is_off_by_default(self):
        cors = self.resources["Api"]["Properties"]["Body"]["x-amazon-apigateway-cors"]["Fn::If"]
        self.assertEqual(("HasAllowedOrigin", {"Ref": "AWS::NoValue"}), (cors[0], cors[2]))
        self.assertIn("allowOrigins", cors[1])
        # Headers of docs/api.md that browsers send or expose only if CORS allows them.
        allowed = {"content-encoding", "content-type", "idempotency-key", "if-none-match", "prefer", "x-api-key"}
        allowed |= {"authorization", "mcp-method", "mcp-name", "mcp-protocol-version"}
        self.assertLessEqual(allowed, set(cors[1]["allowHeaders"]))
        exposed = {"apigw-requestid", "etag", "link", "preference-applied", "retry-after"}
        self.assertLessEqual(exposed, set(cors[1]["exposeHeaders"]))
        self.assertEqual("", self.source["Parameters"]["AllowedOrigin"]["Default"])

    def test_buckets_are_private_and_reject_plain_http(self):
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

    def test_function_log_groups_have_a_retention(self):
        for name in of_type(self.resources, "AWS::Lambda::Function"):
            group = self.resources[name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
            self.assertEqual({"Ref": "FunctionLogDays"}, self.resources[group]["Properties"]["RetentionInDays"], name)

    def test_access_log_contains_no_users_or_keys(self):
        log = self.resources["ApiapiStage"]["Properties"]["AccessLogSettings"]["Format"]
        self.assertIn("$context.routeKey", log)
        for private in ("path", "authorizer", "identity", "sourceIp", "userAgent", "x-api-key"):
            self.assertNotRegex(log, re.compile(private, re.IGNORECASE))

    def test_throttled_routes_exist(self):
        routes = {
            f"{method.upper()} {path}"
            for path, methods in self.resources["Api"]["Properties"]["Body"]["paths"].items()
            for method in methods
        }
        self.assertLessEqual(set(self.resources["ApiapiStage"]["Properties"]["RouteSettings"]), routes)


if __name__ == "__main__":
    unittest.main()
