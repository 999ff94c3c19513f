"""The exporters of the OpenTelemetry SDKs for Python and Node.js, configured as in docs/otlp.md, record each turn once."""

import json
import pathlib
import subprocess
import time
import uuid

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from stack import KEY, URL, send

# A queued turn is stored within seconds, unless the machine is busy.
PATIENCE_SECONDS = 240


def messages(role, text):
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def finished_spans(agent, user):
    """Returns the spans of an agent with two turns, as a tracer finishes them: children before their parents."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": agent}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("test")
    for text in ("I am so happy", "This is awful, I hate it"):
        with tracer.start_as_current_span("turn", attributes={"user.id": user}), tracer.start_as_current_span("chat") as call:
            call.set_attribute("gen_ai.operation.name", "chat")
            call.set_attribute("gen_ai.input.messages", messages("user", text))
            call.set_attribute("gen_ai.output.messages", messages("assistant", f"Re: {text}"))
    return memory.get_finished_spans()


def entries(agent, user, count):
    """Returns the entries as soon as there are `count`."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        answer = send("get", f"/logs/{agent}/{user}")
        if answer.status_code == 200 and len(answer.json()) >= count:
            return answer.json()
        assert time.monotonic() < end, answer.text
        time.sleep(0.05)


def assert_recorded_once(agent, user):
    found = [(entry["user_input"], entry["agent_output"], entry["detected_signal"]) for entry in entries(agent, user, count=2)]
    # Turns of one millisecond have no defined order.
    assert sorted(found) == [
        ("I am so happy", "Re: I am so happy", "positive"),
        ("This is awful, I hate it", "Re: This is awful, I hate it", "stressed"),
    ]


@pytest.fixture
def names(monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", URL)
    return f"agent-{uuid.uuid4()}", f"user-{uuid.uuid4()}"


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("header", ["x-api-key={}", "authorization=Bearer%20{}"])
def test_exporter_records_each_turn_once(compression, header, names, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", header.format(KEY))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    exporter, spans = OTLPSpanExporter(), finished_spans(*names)
    for _ in range(2):
        assert exporter.export(spans) is SpanExportResult.SUCCESS
    assert_recorded_once(*names)


# Compressed JSON can be damaged by API Gateway.
@pytest.mark.parametrize(("protocol", "compression"), [("proto", "none"), ("proto", "gzip"), ("http", "none")])
def test_exporter_for_node_records_each_turn_once(protocol, compression, names, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={KEY}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
    program = pathlib.Path(__file__).with_name("exporters.mjs")
    command = ["node", program, f"@opentelemetry/exporter-trace-otlp-{protocol}", *names]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    assert_recorded_once(*names)


def test_exporter_reports_a_wrong_key(names, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={KEY}0")
    assert OTLPSpanExporter().export(finished_spans(*names)) is SpanExportResult.FAILURE


def test_exporter_of_metrics_succeeds(names, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"x-api-key={KEY}")
    results = []

    class Exporter(OTLPMetricExporter):
        def export(self, *args, **more):
            results.append(super().export(*args, **more))
            return results[-1]

    provider = MeterProvider([PeriodicExportingMetricReader(Exporter())])
    provider.get_meter("test").create_counter("calls").add(1)
    provider.shutdown()
    assert results == [MetricExportResult.SUCCESS]
