"""The examples in the README do what the README says.

Each run uses its own user and agent, so the tests run against any stack.
"""

import json
import os
import re
import subprocess
import sys
import textwrap
import time
import uuid

from contract import ROOT
from stack import KEY, URL, send

BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
COMMANDS = {
    "python": [sys.executable, "-c"],
    # Node.js runs the example as JavaScript: it has no types that would need a compiler.
    "ts": ["node", "--input-type=module", "--eval"],
    "sh": ["bash", "-euo", "pipefail", "-c"],
}
TIMEOUT_SECONDS = 60
# The longest wait for a condition, and the interval at which the condition is checked. A busy stack stores data later.
PATIENCE_SECONDS, PERIOD_SECONDS = 240, 0.1


def examples():
    """Returns (language, code) of the examples that call the stack."""
    blocks = [(language, textwrap.dedent(code)) for language, code in BLOCK.findall((ROOT / "README.md").read_text())]
    return [(language, code) for language, code in blocks if language != "sh" or "curl" in code]


def run(language, code, suffix):
    """Returns the output of an example with its own user and agent."""
    code = re.sub(r"\b(support|maria)\b", rf"\1{suffix}", code)
    environment = {**os.environ, "SIGNALS_URL": URL, "SIGNALS_KEY": KEY}
    done = subprocess.run(
        [*COMMANDS[language], code], capture_output=True, text=True, timeout=TIMEOUT_SECONDS, env=environment, check=False
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def eventually(path, count):
    """Returns the items at `path` as soon as there are `count`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        items = send("GET", path).json()
        if len(items) >= count:
            return items
        assert time.monotonic() < deadline, items
        time.sleep(PERIOD_SECONDS)


def test_examples_send_and_read_data():
    suffix = f"-{uuid.uuid4().hex[:12]}"
    outputs = [(language, code, run(language, code, suffix)) for language, code in examples()]
    assert {language for language, _, _ in outputs} == set(COMMANDS)
    printed = {language: output for language, _, output in outputs if language != "sh"}
    assert printed == {"python": "stressed", "ts": "uncertain"}
    responses = [(code, json.loads(output)) for language, code, output in outputs if language == "sh"]
    assert len(responses) == 3
    assert not [response for _, response in responses if "detail" in response or "message" in response]

    entries = eventually(f"/logs/support{suffix}/maria{suffix}", 3)
    assert [entry["detected_signal"] for entry in entries] == ["positive", "stressed", "uncertain"]
    assert [event["signal_type"] for event in eventually(f"/events/maria{suffix}", 1)] == ["payment_retry"]
