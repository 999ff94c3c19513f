// Has a conversation by means of the recipe in the folder that the first argument names. Like drive.py.
import net from 'node:net';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];
const foreign = new Set();
const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function (...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  const host = options?.path ? 'localhost' : options?.host ?? 'localhost';
  if (!LOOPBACK.includes(host)) {
    foreign.add(host);
    throw new Error(`a recipe must not contact ${host}`);
  }
  return connect.apply(this, args);
};

const [folder, userId, sessionId, ...texts] = process.argv.slice(2);
const recipe = await import(pathToFileURL(path.resolve(folder, 'recipe.mjs')));
const say = recipe.conversation(userId, sessionId);
const replies = [];
for (const text of texts) replies.push(await say(text));
await recipe.sdk.shutdown();
console.log(`\n${JSON.stringify(replies)}`);
if (foreign.size > 0) {
  console.error(`the recipe looked for ${[...foreign].join(', ')}`);
  process.exitCode = 1;
}
