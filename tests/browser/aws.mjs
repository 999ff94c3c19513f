// A request to the stack's stores, signed as AWS wants it:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';

const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_REGION: region } = process.env;
const hmac = (key, text) => createHmac('sha256', key).update(text).digest();
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

/**
 * @param {'s3' | 'dynamodb'} service
 * @param {string} method
 * @param {URL} target with a query in canonical form, if any
 * @param {string} body
 * @param {Record<string, string>} [more] headers with lower-case names
 * @returns {Promise<string>} the body of the answer
 */
export async function signedRequest(service, method, target, body, more = {}) {
  const at = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const headers = { host: target.host, 'x-amz-content-sha256': sha256(body), 'x-amz-date': at, ...more };
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join('');
  const request = sha256([method, target.pathname, target.search.slice(1), lines, names.join(';'), sha256(body)].join('\n'));
  const scope = `${at.slice(0, 8)}/${region}/${service}/aws4_request`;
  const signing = [region, service, 'aws4_request'].reduce(hmac, hmac(`AWS4${secret}`, at.slice(0, 8)));
  const signature = hmac(signing, ['AWS4-HMAC-SHA256', at, scope, request].join('\n')).toString('hex');
  const Authorization = `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  const response = await fetch(target, { method, headers: { ...headers, Authorization }, body: body || undefined });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return text;
}
