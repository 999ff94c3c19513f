"""The running stack, and keys that may do less than the one the environment gives."""

import hashlib
import os
import secrets
import string

import boto3
import requests

URL = os.environ.get("SIGNALS_URL", "").rstrip("/")
KEY = os.environ.get("SIGNALS_KEY", "")
SCOPES = ("logs:write", "logs:read", "events:write", "events:read")
TIMEOUT_SECONDS = 30

assert URL and KEY, "SIGNALS_URL and SIGNALS_KEY name the running stack"


def send(method, path, *, key=KEY, headers=None, **more):
    """Sends a request; without a key where `key` is None."""
    shown = {"X-API-Key": key} if key else {}
    return requests.request(method, URL + path, headers={**shown, **(headers or {})}, timeout=TIMEOUT_SECONDS, **more)


def key_with(scopes):
    """A key for every agent that has these scopes."""
    digits = string.digits + string.ascii_letters
    key = "sig_" + "".join(secrets.choice(digits) for _ in range(43))
    table = boto3.resource("dynamodb").Table(os.environ["SIGNALS_API_KEYS_TABLE"])
    table.put_item(
        Item={
            "key_hash": hashlib.sha256(key.encode()).hexdigest(),
            "name": "contract test",
            "scopes": set(scopes),
            "agents": {"*"},
        }
    )
    return key
