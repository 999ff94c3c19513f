// Writes old interactions, which the API cannot record, directly to the stack's bucket, in the functions' format.
import { randomBytes } from 'node:crypto';
import { signedRequest } from './aws.mjs';

const { AWS_ENDPOINT_URL_S3: endpoint, SIGNALS_LOG_BUCKET: bucket } = process.env;
const LATEST = 9_999_999_999_999;

/**
 * Records an interaction as of `time`.
 * @param {{agent: string, user: string}} view
 * @param {number} time Unix milliseconds
 * @param {string} text
 * @param {string} signal
 * @param {object} [more] other fields of the entry
 */
export async function recordAt({ agent, user }, time, text, signal, more = {}) {
  const uuid = uuidAt(time);
  const entry = {
    agent_id: agent, user_id: user, user_input: text, detected_signal: signal, response_type: 'answer',
    coherence_score_impact: null, escalation_flag: false, session_id: null, ...more,
    log_id: dashed(uuid), timestamp: new Date(time).toISOString(), v: 1,
  };
  const inverted = String(LATEST - time).padStart(13, '0');
  const flipped = dashed(Buffer.from(uuid.map((byte) => byte ^ 0xff)));
  await put(`logs/agent_id=${encode(agent)}/user_id=${encode(user)}/${inverted}-${inverted}-${flipped}.${encode(signal)}=1.jsonl`,
    `${JSON.stringify(entry)}\n`);
}

function uuidAt(time) {
  const uuid = randomBytes(16);
  uuid.writeUIntBE(time, 0, 6);
  uuid[6] = 0x70 | (uuid[6] & 0x0f);
  uuid[8] = 0x80 | (uuid[8] & 0x3f);
  return uuid;
}

const dashed = (bytes) => bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const put = (key, body) =>
  signedRequest('s3', 'PUT', new URL(`/${bucket}/${key.split('/').map(encode).join('/')}`, endpoint), body);
