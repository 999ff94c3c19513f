npm install @ai-sdk/otel @opentelemetry/sdk-node
