pip install "strands-agents[otel]"
