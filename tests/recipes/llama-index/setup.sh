pip install openinference-instrumentation-llama-index
export OTEL_SERVICE_NAME=support
