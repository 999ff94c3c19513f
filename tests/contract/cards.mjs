// Reads an Adaptive Card from the standard input with Microsoft's library. If the library finds an error, writes the errors and
// exits with 1.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isDeepStrictEqual } from 'node:util';

// The package's modules have no file extensions, so Node.js cannot import them.
const { AdaptiveCard, SerializationContext } = createRequire(import.meta.url)('adaptivecards/dist/adaptivecards.js');

const given = JSON.parse(readFileSync(0, 'utf8'));
const context = new SerializationContext();
const card = new AdaptiveCard();
card.parse(given, context);
const found = Array.from({ length: context.eventCount }, (_, index) => context.getEventAt(index));
const errors = [...found, ...card.validateProperties().validationEvents].map(({ message }) => message);
const body = JSON.stringify(card.toJSON().body);
const texts = given.body.flatMap(({ inlines = [] }) => inlines.map(({ text }) => text));
errors.push(...texts.filter((text) => !body.includes(JSON.stringify(text))).map((text) => `the text is lost: ${text}`));
if (!isDeepStrictEqual(card.toJSON().actions ?? [], given.actions ?? [])) errors.push('actions are lost');
if (errors.length > 0) {
  console.error(errors.join('\n'));
  process.exitCode = 1;
}
