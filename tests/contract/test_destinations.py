"""Messages of send-alerts for Slack, Microsoft Teams and PagerDuty, checked with the vendors' own libraries.

The real function runs here, with the stores of the running stack. This file is its Lambda runtime API and the destination.
"""

import http.server
import json
import os
import pathlib
import queue
import subprocess
import threading

import httpx2
import pagerduty
import pytest
from slack_sdk.models.blocks import Block

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "send-alerts"
CARDS = pathlib.Path(__file__).with_name("cards.mjs")
RUNTIME = "/2018-06-01/runtime/invocation"
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
DASHBOARD = "https://dashboard.example"
PATIENCE_SECONDS = 120

TIME = {"timestamp": "2026-01-02T12:00:01.000000Z"}
START = {"start": "2026-01-02T12:00:00.000000Z"}
EPISODE = {
    **START,
    "episode_id": "08c6e51cc30f0f3f333a",
    "user_id": "maria",
    "agent_ids": ["support"],
    "severity": "critical",
    "rules": ["tick:10"],
    "end": "2026-01-02T12:00:01.000000Z",
    "peak_count": 16,
}
SHARE = {
    **START,
    "alert_id": "0123456789abcdef0123",
    "agent_id": "support",
    "signal": "stressed",
    "severity": "warning",
    "rule": "stressed above 30 % in 60 minutes",
    "minutes": 60,
    "share": 0.42,
    "interactions": 50,
    "users": 7,
}
RUN = {
    **START,
    "alert_id": "3210fedcba9876543210",
    "agent_id": "support",
    "user_id": "maria",
    "signal": "stressed",
    "severity": "critical",
    "rule": "stressed 3 times in a row",
    "minutes": 60,
    "in_a_row": 3,
}
# The longest names, of characters that the formats escape or count in different ways.
LONGEST = {
    **EPISODE,
    "user_id": "<&>" * 42,
    "agent_ids": [f"{number}" + "<" * 127 for number in range(9)] + ["😀" * 32],
    "rules": [f"{'&' * 63}{number}:4294967295" for number in range(10)],
    "peak_count": 2**32 - 1,
}
ALERTS = {
    "opened": {"id": "ep_1_opened", "type": "anomaly.episode.opened", **TIME, "data": EPISODE},
    "escalated": {"id": "ep_1_escalated", "type": "anomaly.episode.escalated", **TIME, "data": EPISODE},
    "longest": {"id": "ep_2_opened", "type": "anomaly.episode.opened", **TIME, "data": LONGEST},
    "share": {"id": "md_1_opened", "type": "mood.opened", **TIME, "data": SHARE},
    "share-escalated": {"id": "md_1_escalated", "type": "mood.escalated", **TIME, "data": {**SHARE, "severity": "critical"}},
    "run": {"id": "md_2_opened", "type": "mood.opened", **TIME, "data": RUN},
    "recovered": {"id": "md_2_recovered", "type": "mood.recovered", **TIME, "data": RUN},
    "test": {"id": "test_1", "type": "test", **TIME, "data": {"message": "This is a test: alerts of Signals arrive here."}},
    "later": {"id": "later_1", "type": "later.type", **TIME, "data": {"anything": [1]}},
}


class Server(http.server.ThreadingHTTPServer):
    """Gives a function one batch of messages, and receives what the function posts."""

    daemon_threads = True

    def __init__(self, messages):
        super().__init__(("127.0.0.1", 0), Handler)
        attributes = {"ApproximateReceiveCount": "1", "SentTimestamp": "1767355200000"}
        records = [
            {"messageId": str(number), "receiptHandle": "none", "body": json.dumps(message), "attributes": attributes}
            for number, message in enumerate(messages)
        ]
        self.batches = queue.Queue()
        self.batches.put({"Records": records})
        self.posted, self.results = queue.Queue(), queue.Queue()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # After the only batch, the function waits here until it is stopped.
        body = json.dumps(self.server.batches.get()).encode()
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "1")
        self.send_header("Lambda-Runtime-Deadline-Ms", "4102444800000")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:000000000000:function:send-alerts")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (self.server.results if self.path.startswith(RUNTIME) else self.server.posted).put(body)
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def posted(message, **destination):
    """Returns the body that send-alerts posts to `destination` for `message`."""
    with Server([message]) as server:
        environment = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": server.address,
            "AWS_LAMBDA_FUNCTION_NAME": "send-alerts",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "SIGNALS_WEBHOOK": json.dumps([{"url": f"http://{server.address}/", **destination}]),
            "SIGNALS_DASHBOARD_URL": DASHBOARD,
        }
        with subprocess.Popen([PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as function:
            try:
                result = server.results.get(timeout=PATIENCE_SECONDS)
            finally:
                function.kill()
                log = function.stdout.read().decode()
                server.shutdown()
        assert result == {"batchItemFailures": []}, log
        assert server.posted.qsize() == 1, log
        return server.posted.get_nowait()


@pytest.mark.parametrize("name", ALERTS)
def test_slack_message_has_valid_blocks(name):
    message = posted(ALERTS[name], type="slack")
    assert message["text"]
    # Reading a block and writing it again validates its required fields and lengths.
    blocks = Block.parse_all(message["blocks"])
    assert [block.to_dict() for block in blocks] == message["blocks"]
    assert [block.type for block in blocks][0] == "header"
    assert f"<{DASHBOARD}/" in message["blocks"][-1]["text"]["text"]
    for section in blocks[1:]:
        assert all(len(field.text) <= 2000 for field in section.fields or [])


@pytest.mark.parametrize("name", ALERTS)
def test_teams_message_has_a_valid_card(name):
    message = posted(ALERTS[name], type="teams")
    (attachment,) = message["attachments"]
    assert (message["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
    command = ["node", CARDS]
    card = json.dumps(attachment["content"])
    checked = subprocess.run(command, input=card, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert checked.returncode == 0, checked.stderr
    assert len(json.dumps(message, ensure_ascii=False).encode()) < 28 * 1024


def test_invalid_card_is_reported():
    card = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "Unknown"}], "actions": [{"type": "Action.OpenUrl"}]}
    checked = subprocess.run(["node", CARDS], input=json.dumps(card), capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert checked.returncode == 1
    assert "Unknown" in checked.stderr and "url" in checked.stderr


def sent_by_pagerdutys_client(call):
    """Returns the body that PagerDuty's client sends when `call` uses the client. The client accepts only HTTPS addresses."""
    bodies = []

    def answer(request):
        bodies.append(json.loads(request.content))
        return httpx2.Response(202, json={"status": "success", "dedup_key": bodies[-1]["dedup_key"]})

    with pagerduty.EventsApiV2Client(ROUTING_KEY, transport=httpx2.MockTransport(answer)) as client:
        call(client)
    (body,) = bodies
    return body


@pytest.mark.parametrize("name", ALERTS)
def test_pagerduty_event_is_what_the_client_sends(name):
    event = posted(ALERTS[name], type="pagerduty", routing_key=ROUTING_KEY)
    assert 0 < len(event["dedup_key"]) <= 255
    if name == "recovered":
        assert event == sent_by_pagerdutys_client(lambda client: client.resolve(RUN["alert_id"]))
        return
    # The client's method lacks these two fields of the API.
    assert (event.pop("client"), event.pop("client_url")) == ("Signals", event["links"][0]["href"])
    payload = event["payload"]
    assert payload["source"] and 0 < len(payload["summary"]) <= 1024
    assert payload["severity"] == ALERTS[name]["data"].get("severity", "info")
    assert payload["custom_details"] == ALERTS[name]["data"]
    arguments = {key: payload[key] for key in ("summary", "source", "severity", "custom_details")}
    more = {key: payload[key] for key in ("class", "timestamp")}
    sent = sent_by_pagerdutys_client(
        lambda client: client.trigger(dedup_key=event["dedup_key"], links=event["links"], payload=more, **arguments)
    )
    assert event == sent


def test_mood_has_one_key_from_opening_to_recovery():
    events = [posted(ALERTS[name], type="pagerduty", routing_key=ROUTING_KEY) for name in ("run", "recovered")]
    assert [(event["event_action"], event["dedup_key"]) for event in events] == [
        ("trigger", RUN["alert_id"]),
        ("resolve", RUN["alert_id"]),
    ]
