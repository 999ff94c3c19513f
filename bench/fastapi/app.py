"""A FastAPI service with the seven endpoints in one process, for comparison.

Logs are one JSONL file per conversation, events are in SQLite with a write-ahead log, the window is in memory, and matplotlib draws
the chart.
"""

import io
import json
import os
import sqlite3
import time
import uuid
from collections import Counter, defaultdict, deque
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import matplotlib

matplotlib.use("Agg")
from fastapi import FastAPI, Query  # noqa: E402
from fastapi.responses import JSONResponse, Response  # noqa: E402
from matplotlib import pyplot  # noqa: E402
from pydantic import BaseModel, Field  # noqa: E402

DATA = Path(os.environ["DATA"])
WINDOW_SECONDS = 5.0
THRESHOLDS = {"stressed": 8, "uncertain": 12, "positive": 15, "neutral": 20}
DEFAULT_THRESHOLD = 10
KEYWORDS = {
    "uncertain": ["maybe", "not sure", "unsure", "confus", "?"],
    "stressed": ["angry", "frustrat", "upset", "stress"],
    "positive": ["thank", "great", "happy", "awesome", "good"],
}
SUMMARY_ENTRIES = 1_000

app = FastAPI()
drawing = Lock()
storing = Lock()
windows: dict[str, deque[float]] = defaultdict(deque)
database = sqlite3.connect(DATA / "events.db", check_same_thread=False)
database.executescript(
    """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS events (
        event_id TEXT PRIMARY KEY, user_id TEXT, agent_id TEXT, signal_type TEXT, timestamp TEXT, payload TEXT);
    CREATE TABLE IF NOT EXISTS anomalies (
        user_id TEXT, agent_id TEXT, signal_type TEXT, event_id TEXT, detected_at TEXT, count INTEGER, rule TEXT);
    CREATE INDEX IF NOT EXISTS anomalies_of_user ON anomalies (user_id, detected_at);
    """
)


class Interaction(BaseModel):
    agent_id: str
    user_id: str
    user_input: str
    detected_signal: str | None = None
    response_type: str = ""
    coherence_score_impact: float | None = None
    escalation_flag: bool = False
    session_id: str | None = None


class Event(BaseModel):
    user_id: str
    agent_id: str
    signal_type: str
    timestamp: datetime
    payload: dict[str, Any] = Field(default_factory=dict)


def classify(text: str) -> str:
    lower = text.lower()
    matches = (signal for signal, words in KEYWORDS.items() if any(word in lower for word in words))
    return next(matches, "neutral")


def log_file(agent_id: str, user_id: str) -> Path:
    return DATA / "logs" / agent_id / f"{user_id}.jsonl"


def read_log(agent_id: str, user_id: str, count: int) -> list[dict[str, Any]]:
    try:
        with log_file(agent_id, user_id).open() as lines:
            return [json.loads(line) for line in deque(lines, maxlen=count)]
    except FileNotFoundError:
        return []


def count_signals(agent_id: str, user_id: str) -> Counter[str]:
    return Counter(entry["detected_signal"] for entry in read_log(agent_id, user_id, SUMMARY_ENTRIES))


@app.post("/log")
def post_log(interaction: Interaction) -> dict[str, Any]:
    entry = interaction.model_dump()
    entry["detected_signal"] = interaction.detected_signal or classify(interaction.user_input)
    entry |= {"log_id": str(uuid.uuid4()), "timestamp": datetime.now(UTC).isoformat()}
    path = log_file(interaction.agent_id, interaction.user_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as log:
        log.write(json.dumps(entry) + "\n")
    return {"status": "ok", "logged": entry}


@app.get("/logs/{agent_id}/{user_id}")
def get_logs(agent_id: str, user_id: str, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> list[dict[str, Any]]:
    return read_log(agent_id, user_id, limit)


@app.get("/summary/{agent_id}/{user_id}")
def get_summary(agent_id: str, user_id: str) -> dict[str, int]:
    return count_signals(agent_id, user_id)


@app.get("/visualize/{agent_id}/{user_id}")
def get_visualize(agent_id: str, user_id: str) -> Response:
    counts = count_signals(agent_id, user_id)
    if not counts:
        return JSONResponse({"error": "No data to visualize"}, status_code=404)
    image = io.BytesIO()
    # pyplot is not safe to use in several threads.
    with drawing:
        figure, axes = pyplot.subplots(figsize=(8, 4.8), dpi=100)
        axes.bar(list(counts), list(counts.values()))
        axes.set_title(f"Signals of {user_id}")
        axes.set_ylabel("Interactions")
        figure.savefig(image, format="png")
        pyplot.close(figure)
    return Response(image.getvalue(), media_type="image/png")


@app.post("/event")
def post_event(event: Event) -> dict[str, Any]:
    event_id = str(uuid.uuid4())
    at = event.timestamp.timestamp()
    with storing, database:
        database.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
            (event_id, event.user_id, event.agent_id, event.signal_type, event.timestamp.isoformat(),
             json.dumps(event.payload)),
        )
        window = windows[event.user_id]
        window.append(at)
        while window and window[0] <= at - WINDOW_SECONDS:
            window.popleft()
        threshold = THRESHOLDS.get(event.signal_type, DEFAULT_THRESHOLD)
        anomaly = None
        if len(window) > threshold:
            anomaly = {
                "user_id": event.user_id, "agent_id": event.agent_id, "signal_type": event.signal_type,
                "event_id": event_id, "detected_at": event.timestamp.isoformat(), "count": len(window),
                "rule": f"{event.signal_type}:{threshold}",
            }
            database.execute("INSERT INTO anomalies VALUES (?, ?, ?, ?, ?, ?, ?)", tuple(anomaly.values()))
    return {"status": "ingested", "event_id": event_id, "received_at": time.time(), "anomaly": anomaly}


@app.get("/anomalies/{user_id}")
def get_anomalies(user_id: str, limit: Annotated[int, Query(ge=1, le=100)] = 100) -> list[dict[str, Any]]:
    with storing:
        cursor = database.execute(
            "SELECT * FROM anomalies WHERE user_id = ? ORDER BY detected_at DESC LIMIT ?", (user_id, limit))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


@app.get("/health")
def get_health() -> dict[str, str]:
    return {"status": "ok"}
