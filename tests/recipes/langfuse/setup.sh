pip install langfuse
export LANGFUSE_BASE_URL=https://…                # without /api; older versions: LANGFUSE_HOST
export LANGFUSE_PUBLIC_KEY=signals
export LANGFUSE_SECRET_KEY=sig_…
export OTEL_SERVICE_NAME=support                  # else the agent is unknown_service:python
