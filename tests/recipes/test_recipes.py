"""The recipes of docs/otlp.md record each turn of a user once.

Each folder here is a recipe. Its program runs with the packages of the folder's own environment, against a model server and a stack on
this machine, and has a conversation of two turns. The lines that docs/otlp.md shows are between the markers `begin docs` and `end docs`,
and `setup.sh` is shown as a whole. tests/template/test_recipes.py compares them with the document.
"""

import json
import os
import pathlib
import shlex
import subprocess
import time
import uuid

import pytest
import requests

from model import Model, reply_to

HERE = pathlib.Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".venv-recipes"
URL = os.environ["SIGNALS_URL"].rstrip("/")
KEY = os.environ["SIGNALS_KEY"]
TEXTS = ("I am so happy", "This is awful, I hate it")
AGENT = "support"
RECIPES = sorted(path.parent.name for path in HERE.glob("*/recipe.*"))
# The name that each instrumentation gives to the provider of the model. Langfuse gives none.
PROVIDERS = {
    "langchain": "openai",
    "llama-index": "openai",
    "openai-agents": "openai",
    "openai-sdk": "openai",
    "pydantic-ai": "openai",
    "strands": "strands-agents",
    "vercel-ai-sdk": "openai",
    "vercel-ai-sdk-6": "openai.responses",
}
# A queued turn is stored within seconds, unless the machine is busy.
PATIENCE_SECONDS = 240
PROGRAM_SECONDS = 240


def exports(recipe):
    """Returns the variables that the recipe's setup.sh sets, with the address and the key of the stack."""
    text = (HERE / recipe / "setup.sh").read_text()
    words = shlex.split(text.replace("https://…", URL.removesuffix("/api")).replace("sig_…", KEY), comments=True)
    return dict(word.split("=", 1) for before, word in zip(words, words[1:]) if before == "export")


def environment(recipe, model):
    """Returns the environment of the recipe's program."""
    own = exports(recipe)
    # The Langfuse SDK has its own variables for the address and the key.
    exporter = {"OTEL_EXPORTER_OTLP_ENDPOINT": URL, "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={KEY}"}
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OTEL_", "SIGNALS_"))},
        **({} if KEY in own.values() else exporter),
        # A recipe that does not set the service's name gets the agent's name from the spans.
        "OTEL_SERVICE_NAME": "the service",
        # All spans are in one request, however slow the machine is.
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "OPENAI_BASE_URL": model.url,
        "OPENAI_API_KEY": "unused",
        **own,
    }


def command(recipe):
    if (HERE / recipe / "recipe.mjs").exists():
        return ["node", HERE / "drive.mjs"]
    return [ENVIRONMENTS / recipe / "bin/python", "-B", HERE / "drive.py"]


def get(path):
    answer = requests.get(URL + path, headers={"X-API-Key": KEY}, timeout=30)
    assert answer.ok, answer.text
    return answer.json()


def entries(user):
    """Returns the user's entries of all agents."""
    return [entry for agent in get("/agents") for entry in get(f"/logs/{agent}/{user}")]


def entries_when_stored(user):
    """Returns the user's entries as soon as there is one for each text."""
    end = time.monotonic() + PATIENCE_SECONDS
    while len(found := entries(user)) < len(TEXTS):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def model():
    with Model() as model:
        yield model


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_records_each_turn_once(recipe, model):
    user, session = f"maria-{uuid.uuid4()}", f"session-{uuid.uuid4()}"
    program = [*map(str, command(recipe)), str(HERE / recipe), user, session, *TEXTS]
    options = {"capture_output": True, "text": True, "timeout": PROGRAM_SECONDS, "check": False}
    ended = subprocess.run(program, env=environment(recipe, model), **options)
    output = ended.stdout + ended.stderr
    assert ended.returncode == 0, output
    # Strands prints replies too.
    assert json.loads(ended.stdout.splitlines()[-1]) == [reply_to(text) for text in TEXTS], output

    found = entries_when_stored(user)
    assert [(entry["user_input"], entry["agent_output"], entry["detected_signal"]) for entry in found] == [
        (TEXTS[0], reply_to(TEXTS[0]), "positive"),
        (TEXTS[1], reply_to(TEXTS[1]), "stressed"),
    ], output
    provider = {"provider": PROVIDERS[recipe]} if recipe in PROVIDERS else {}
    for entry in found:
        assert (entry["agent_id"], entry["session_id"]) == (AGENT, session)
        assert entry["metadata"] == {"model": "gpt-5", **provider}

