"""Sends requests to the running stack, and creates limited API keys."""

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

assert URL and KEY, "set SIGNALS_URL and SIGNALS_KEY to the running stack"


def send(method, path, *, key=KEY, headers=None, **more):
    """Sends a request, without a key if `key` is None."""
    shown = {"X-API-Key": key} if key else {}
    return requests.request(method, URL + path, headers={**shown, **(headers or {})}, timeout=TIMEOUT_SECONDS, **more)


def key_with(scopes):
    """Creates a key with these scopes for every agent."""
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
