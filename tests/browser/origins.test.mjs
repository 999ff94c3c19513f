// Pages of other origins can read nothing of the stack and change nothing. The pages are served from another port of this
// machine, under 127.0.0.1 and under a foreign name that resolves to it, as after DNS rebinding.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import { chromium } from 'playwright-core';
import { signedRequest } from './aws.mjs';

const {
  CHROMIUM = '/usr/bin/chromium', SIGNALS_DASHBOARD, SIGNALS_URL, SIGNALS_KEY, SIGNALS_INVOCATIONS, SIGNALS_RUNTIME_API,
  SIGNALS_API_KEYS_TABLE, SIGNALS_LOG_BUCKET, SIGNALS_RETRY_QUEUE, AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL_S3,
  AWS_ENDPOINT_URL_SQS,
} = process.env;
const DYNAMODB = new URL(AWS_ENDPOINT_URL_DYNAMODB);
const GUARDED = [SIGNALS_DASHBOARD, AWS_ENDPOINT_URL_DYNAMODB, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL_SQS, SIGNALS_INVOCATIONS];
const FOREIGN_NAME = 'evil.example';

const pages = createServer((_, answer) => answer.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>foreign</title>'));
await new Promise((done) => { pages.listen(0, '127.0.0.1', done); });
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update',
    '--disable-sync', `--host-resolver-rules=MAP ${FOREIGN_NAME} 127.0.0.1`,
    // Without the browser's own protection of loopback addresses: the stack must not depend on it.
    '--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights'],
});
after(async () => {
  await browser.close();
  pages.close();
});
const { port } = pages.address();

/** Returns the messages that make retry-events store an event and a log object of the user `mark`. */
function messagesOf(mark) {
  const time = new Date().toISOString().replace('Z', '000Z');
  const event = {
    user_id: mark, sk: `e#${time}#planted#p1`, signal_type: 'planted', payload: '{}', identity: 'minted', received_at: time,
    timestamp: time, time_source: 'client', receipt: 1,
  };
  const log = { key: `logs/agent_id=planted/user_id=${mark}/x.stressed=1.jsonl`, lines: '{}' };
  return [{ v: 1, event }, { v: 1, log }].map((message) => JSON.stringify(message));
}

/** Returns requests that read data or plant data named `mark`, each with the listener that they are for. */
function attacksWith(mark) {
  const amz = (target, body) => ({
    path: '/', method: 'POST', body: JSON.stringify(body), headers: {
      'X-Amz-Target': target, 'Content-Type': 'application/x-amz-json-1.0', 'X-Amz-Date': '20260101T000000Z',
      Authorization: 'AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00',
    },
  });
  const apiKey = {
    key_hash: { S: createHash('sha256').update(`sig_${mark}`).digest('hex') }, name: { S: mark }, scopes: { SS: ['events:read'] },
    agents: { SS: ['*'] },
  };
  const Records = messagesOf(mark).map((body, index) => (
    { messageId: `m${index}`, receiptHandle: 'r', attributes: { ApproximateReceiveCount: '1' }, body }));
  const invocation = { path: '/2015-03-31/functions/retry-events/invocations', method: 'POST', body: JSON.stringify({ Records }) };
  const receiveInvocation = { path: '/.rt/retry-events/2018-06-01/runtime/invocation/next', method: 'GET' };
  const endRuntime = { path: '/.rt/retry-events/2018-06-01/runtime/init/error', method: 'POST', body: '{}' };
  const attacks = [
    [SIGNALS_DASHBOARD, { path: '/', method: 'GET' }],
    [SIGNALS_DASHBOARD, { path: '/api/health', method: 'GET' }],
    [SIGNALS_DASHBOARD, { path: '/local/exchange', method: 'POST', body: '{"code":"00"}' }],
    [DYNAMODB, amz('DynamoDB_20120810.PutItem', { TableName: SIGNALS_API_KEYS_TABLE, Item: apiKey })],
    [DYNAMODB, amz('DynamoDB_20120810.Scan', { TableName: SIGNALS_API_KEYS_TABLE })],
    [AWS_ENDPOINT_URL_SQS, amz('AmazonSQS.SendMessage', { QueueUrl: SIGNALS_RETRY_QUEUE, MessageBody: messagesOf(mark)[0] })],
    [AWS_ENDPOINT_URL_SQS, amz('AmazonSQS.ReceiveMessage', { QueueUrl: SIGNALS_RETRY_QUEUE })],
    [AWS_ENDPOINT_URL_S3, { path: `/${SIGNALS_LOG_BUCKET}/planted-${mark}`, method: 'PUT', body: 'planted' }],
    [AWS_ENDPOINT_URL_S3, { path: `/${SIGNALS_LOG_BUCKET}?list-type=2`, method: 'GET' }],
    ...[SIGNALS_INVOCATIONS, SIGNALS_RUNTIME_API].flatMap((listener) => (
      [invocation, receiveInvocation, endRuntime].map((attack) => [listener, attack]))),
  ];
  return attacks.flatMap(([listener, attack]) => ['127.0.0.1', FOREIGN_NAME].map((name) => (
    { ...attack, url: `http://${name}:${new URL(listener).port}${attack.path}` })));
}

/** Sends `attacks` from a page in every mode and returns the responses that the page could read. */
const attackFrom = (page, attacks) => page.evaluate(async (requests) => {
  const TIME_LIMIT_MS = 2000;
  const readable = [];
  const send = async ({ url, method, body, headers }, mode) => {
    try {
      const response = await fetch(url, { method, body, mode, headers, signal: AbortSignal.timeout(TIME_LIMIT_MS) });
      if (response.type !== 'opaque') readable.push(`${method} ${url} ${mode}: ${response.status} ${(await response.text()).slice(0, 80)}`);
    } catch { /* blocked by the browser, or aborted */ }
  };
  const submit = ({ url, method, body }, index) => new Promise((done) => {
    const frame = Object.assign(document.createElement('iframe'), { name: `frame${index}` });
    const form = Object.assign(document.createElement('form'), { action: url, method, target: frame.name, enctype: 'text/plain' });
    // The body of a text/plain form is name=value: a JSON text with the equals sign within a string.
    const [name, value] = [`${body?.slice(0, -1) ?? '{"a":1'},"x":"`, '"}'];
    form.append(Object.assign(document.createElement('input'), { name, value }));
    document.body.append(frame, form);
    setTimeout(done, TIME_LIMIT_MS);
    frame.onload = done;
    form.submit();
  });
  await Promise.all(requests.flatMap((request, index) => {
    const simple = { ...request, headers: {} };
    return [
      // A request without headers of its own needs no preflight.
      ...(request.headers ? [request, simple] : [simple]).map((sent) => send(sent, 'cors')),
      ...(request.method === 'PUT' ? [] : [send(simple, 'no-cors'), submit(request, index)]),
    ];
  }));
  return readable;
}, attacks);

const get = async (path, key = SIGNALS_KEY) => fetch(`${SIGNALS_URL}${path}`, { headers: { 'X-API-Key': key } });

/** Returns the places in the stack where data named `mark` is. */
async function plantedBy(mark) {
  const planted = [];
  if ((await get('/agents', `sig_${mark}`)).status !== 401) planted.push('API key');
  for (const path of [`/events/${mark}`, `/logs/planted/${mark}`]) {
    if ((await (await get(path)).json()).length > 0) planted.push(path);
  }
  const scan = JSON.stringify({ TableName: SIGNALS_API_KEYS_TABLE });
  const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'DynamoDB_20120810.Scan' };
  if ((await signedRequest('dynamodb', 'POST', DYNAMODB, scan, headers)).includes(mark)) planted.push('table of API keys');
  if ((await signedRequest('s3', 'GET', new URL(`/${SIGNALS_LOG_BUCKET}?list-type=2`, AWS_ENDPOINT_URL_S3), '')).includes(mark)) planted.push('bucket');
  return planted;
}

for (const [origin, name] of Object.entries({ 'on another port': '127.0.0.1', 'of a name that resolves to loopback': FOREIGN_NAME })) {
  test(`a page ${origin} reads nothing and changes nothing`, async () => {
    const mark = randomUUID();
    const page = await browser.newPage();
    await page.goto(`http://${name}:${port}/`);
    assert.deepEqual(await attackFrom(page, attacksWith(mark)), []);
    assert.deepEqual(await plantedBy(mark), []);
    assert.equal((await get('/health')).status, 200);
    await page.close();
  });
}

test('listeners reject a page that DNS rebinding leads to them', async () => {
  const page = await browser.newPage();
  for (const listener of GUARDED) {
    const response = await page.goto(`http://${FOREIGN_NAME}:${new URL(listener).port}/`);
    assert.equal(response.status(), 421, listener);
  }
  await page.close();
});

test('the browser blocks the port of the runtime API', async () => {
  const page = await browser.newPage();
  for (const name of ['127.0.0.1', FOREIGN_NAME]) {
    const { port: runtimePort } = new URL(SIGNALS_RUNTIME_API);
    await assert.rejects(page.goto(`http://${name}:${runtimePort}/health`), /ERR_UNSAFE_PORT/);
  }
  await page.close();
});
