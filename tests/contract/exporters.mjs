// Exports an agent's two turns twice, with an exporter of OpenTelemetry for Node.js that is configured by the environment. The
// arguments are the exporter's package, the agent and the user.
import { ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';

const [name, agent, user] = process.argv.slice(2);
const { OTLPTraceExporter } = await import(name);
const memory = new InMemorySpanExporter();
const provider = new BasicTracerProvider({
  resource: resourceFromAttributes({ 'service.name': agent }),
  spanProcessors: [new SimpleSpanProcessor(memory)],
});
const tracer = provider.getTracer('test');
const messages = (role, text) => JSON.stringify([{ role, parts: [{ type: 'text', content: text }] }]);
for (const text of ['I am so happy', 'This is awful, I hate it']) {
  const turn = tracer.startSpan('turn', { attributes: { 'user.id': user } });
  const attributes = {
    'gen_ai.operation.name': 'chat',
    'gen_ai.input.messages': messages('user', text),
    'gen_ai.output.messages': messages('assistant', `Re: ${text}`),
  };
  tracer.startSpan('chat', { attributes }, trace.setSpan(ROOT_CONTEXT, turn)).end();
  turn.end();
}
await provider.forceFlush();

const exporter = new OTLPTraceExporter();
const exported = () => new Promise((resolve) => exporter.export(memory.getFinishedSpans(), resolve));
for (let time = 0; time < 2; time += 1) {
  const { code, error } = await exported();
  if (code !== 0) throw error;
}
await exporter.shutdown();
