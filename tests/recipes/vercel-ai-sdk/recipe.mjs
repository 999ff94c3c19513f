import { openai } from '@ai-sdk/openai';
import { isStepCount, tool } from 'ai';
import { z } from 'zod';

// begin docs
import { OpenTelemetry } from '@ai-sdk/otel';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { generateText, registerTelemetry } from 'ai';

export const sdk = new NodeSDK();
sdk.start();
registerTelemetry(new OpenTelemetry({
  enrichSpan: ({ runtimeContext }) => ({ 'user.id': runtimeContext?.userId, 'session.id': runtimeContext?.sessionId }),
}));

const answer = (userId, sessionId, messages) => generateText({
  model, tools, stopWhen, messages,
  runtimeContext: { userId, sessionId },
  telemetry: { functionId: 'support', includeRuntimeContext: { userId: true, sessionId: true } },
});
// end docs

const model = openai('gpt-5');
const stopWhen = isStepCount(3);
const tools = {
  find_order: tool({ description: "Finds the user's order.", inputSchema: z.object({}), execute: async () => 'on its way' }),
};

export function conversation(userId, sessionId) {
  const messages = [];
  return async (text) => {
    messages.push({ role: 'user', content: text });
    const result = await answer(userId, sessionId, messages);
    messages.push(...result.response.messages);
    return result.text;
  };
}
