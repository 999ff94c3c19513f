import { openai } from '@ai-sdk/openai';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { stepCountIs, tool } from 'ai';
import { z } from 'zod';

// begin docs
import { generateText } from 'ai';

const answer = (userId, sessionId, messages) => generateText({
  model, tools, stopWhen, messages,
  experimental_telemetry: { isEnabled: true, functionId: 'support', metadata: { userId, sessionId } },
});
// end docs

export const sdk = new NodeSDK();
sdk.start();
const model = openai('gpt-5');
const stopWhen = stepCountIs(3);
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
