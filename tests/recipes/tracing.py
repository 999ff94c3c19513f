# begin docs
# tracing.py
from contextlib import contextmanager
from opentelemetry import baggage, context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.processor.baggage import BaggageSpanProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BaggageSpanProcessor(lambda key: key in ("user.id", "session.id")))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

@contextmanager
def turn_of(user_id, session_id):
    with_user = baggage.set_baggage("user.id", user_id)
    token = context.attach(baggage.set_baggage("session.id", session_id, with_user))
    try:
        yield
    finally:
        context.detach(token)
# end docs
