npm install @opentelemetry/sdk-node
