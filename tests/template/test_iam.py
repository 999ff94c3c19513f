"""Policy documents contain only actions, resources and condition keys that AWS knows."""

import json
import unittest

from iam import documents, faults, overlap
from processed import ROOT, process, source


class PolicyDocuments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.documents = dict(documents(process(source())["Resources"]))
        cls.documents["deploy/policy.json"] = json.loads((ROOT / "deploy" / "policy.json").read_text())

    def faults_after(self, name, old, new):
        """Returns the faults of a document in which the text `old` is replaced."""
        text = json.dumps(self.documents[name])
        self.assertIn(old, text)
        return "\n".join(faults(json.loads(text.replace(old, new))))

    def test_documents_are_valid(self):
        self.assertEqual({}, {name: found for name, document in self.documents.items() if (found := list(faults(document)))})

    def test_unknown_action_is_reported(self):
        found = self.faults_after("deploy/policy.json", "logs:PutRetentionPolicy", "logs:PutRetention")
        self.assertEqual("LogGroups: logs:PutRetention is unknown", found)
        found = self.faults_after("PostLogRole, function", "sqs:SendMessage", "sqs:SendMessageBatch")
        self.assertEqual("SendRetries: sqs:SendMessageBatch is unknown", found)

    def test_resource_of_another_type_is_reported(self):
        found = self.faults_after("PostLogRole, function", "/logs/*\"}", "\"}")
        self.assertIn("PutLogs: s3:PutObject does not apply to", found)
        found = self.faults_after("PostLogRole, log", ":*", "")
        self.assertIn("PutLogEvents: logs:PutLogEvents does not apply to", found)
        found = self.faults_after("deploy/policy.json", "alarm:STACK-*", "alarm/STACK-*")
        self.assertIn("Alarms: cloudwatch:PutMetricAlarm does not apply to", found)
        found = self.faults_after("GetLogsRole, function", "STACK-NAME\", \"Condition", "STACK-NAME/*\", \"Condition")
        self.assertIn("ListLogs: s3:ListBucket does not apply to", found)

    def test_unknown_condition_key_is_reported(self):
        found = self.faults_after("GetHealthRole, function", "dynamodb:LeadingKeys", "dynamodb:LeadingKey")
        self.assertEqual("GetApiKeys: dynamodb:GetItem has no condition key dynamodb:LeadingKey", found)
        found = self.faults_after("DashboardBucketPolicy", "AWS:SourceArn", "AWS:SourceAddress")
        self.assertIn("CloudFront: s3:GetObject has no condition key AWS:SourceAddress", found)

    def test_patterns_overlap_if_a_text_matches_both(self):
        for left, right, expected in [
            ("a*", "ab", True),
            ("a*c", "ab*", True),
            ("a*c", "b*", False),
            ("a/b", "a/\0", True),
            ("a/b/c", "a/\0", False),
            ("a:*", "a:\0:x", True),
            ("", "*", True),
            ("", "a", False),
        ]:
            self.assertEqual(expected, overlap(left, right), (left, right))


if __name__ == "__main__":
    unittest.main()
