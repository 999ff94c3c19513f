// Sample data for pictures of the dashboard: two weeks of three agents and forty users, sent through the API. It has agent replies,
// sessions, a bad hour after a release, and bursts of events. It depends on the current time only.
import { setTimeout } from 'node:timers/promises';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAYS = 14;
const BATCH = 200;
const ATTEMPTS = 30;

const USERS = [
  'aiko', 'amara', 'anton', 'bea', 'carlos', 'chen', 'dana', 'diego', 'elif', 'emil', 'farid', 'freya', 'greta', 'hana', 'hugo', 'iris', 'ivan', 'jonas',
  'kofi', 'lena', 'liam', 'lucia', 'maria', 'mateo', 'maya', 'mila', 'nadia', 'noor', 'olga', 'omar', 'paula', 'ravi', 'rosa', 'sam', 'sofia', 'tariq',
  'tom', 'uma', 'wei', 'zoe',
];
const AGENTS = { support: { share: 0.55, mood: [0.3, 0.42, 0.16] }, concierge: { share: 0.3, mood: [0.5, 0.38, 0.05] }, billing: { share: 0.15, mood: [0.2, 0.55, 0.13] } };
const SIGNALS = ['positive', 'neutral', 'stressed', 'uncertain'];
const WORDS = {
  positive: [['Thank you, that was quick.', 'You’re welcome!'], ['Great, the refund is there.', 'Good to hear. Is there anything else?'], ['Happy with the new router.', 'Enjoy it!'], ['Good, that works now.', 'Perfect.']],
  neutral: [['Order 4471, paid by card on the 3rd.', 'I found it. It left our warehouse yesterday.'], ['Please send it to the address on file.', 'Done. It arrives on Friday.'], ['It is the blue one, size M.', 'Thanks, I have changed the order.'], ['Tuesday after four.', 'I have noted Tuesday, 4 to 6 pm.']],
  stressed: [['This is the third time I explain it. I am frustrated.', 'I am sorry. Let me read the earlier messages.'], ['I am upset that nobody told me.', 'I understand. I will find out what happened.'], ['The call is in ten minutes and I am really stressed.', 'Then let us use the phone number instead.'], ['I have been charged twice, this is terrible.', 'I see both payments and will return one of them.']],
  uncertain: [['Maybe it is the cable?', 'Let us check: is the light on?'], ['Not sure which of the two I ordered.', 'It was the black one.'], ['What does error 691 mean?', 'The password was not accepted.']],
};
const PARCEL = [
  [52, 'Hi! My parcel should have been here yesterday.', 'Hello Maria! I am looking for it. What is the order number?', 'neutral'],
  [47, 'It is 4471. The page says “delivered”, but it is not at my door and not with the neighbours.', 'Thank you. The driver noted “left at the door” at 14:12. Could somebody have taken it in?', 'neutral'],
  [23, 'You asked me that already. I am getting frustrated.', 'I am sorry, Maria. I have opened a search with the carrier. They answer within 24 hours.', 'stressed'],
  [14, 'It is a birthday present, and the party is at four. This stresses me out.', 'I understand. I can send the same present by courier today, free of charge. It would arrive by three.', 'stressed'],
  [4, 'I am angry now. Nobody calls back, and your form has lost my message twice. Please let me talk to a person.', 'Of course. I am connecting you with Lena from our team now.', 'stressed'],
];

/**
 * Sends the sample data. All of it has ids, so a batch can be sent again.
 * @param {string} url the API's @param {string} key with the scopes logs:write and events:write
 * @returns {Promise<number>} the number of interactions
 */
export async function sendSample(url, key, now = Date.now()) {
  const random = generator(7);
  const entries = [];
  for (let hour = DAYS * 24; hour >= 0; hour -= 1) {
    const start = Math.floor(now / HOUR) * HOUR - hour * HOUR;
    const clock = (new Date(start).getUTCHours() + 1) % 24;
    const busy = clock < 7 ? 1 : clock < 20 ? 9 : 4;
    // A release three days ago went wrong.
    const isBad = hour >= 70 && hour < 74;
    for (let many = Math.round(busy * (0.6 + random() * 0.8) * (isBad ? 2.4 : 1)); many > 0; many -= 1) {
      const time = start + random() * HOUR;
      const turns = session(random, time, isBad);
      // The newest session of this user is the one below.
      if (time < now - MINUTE && !(turns[0].user_id === 'maria' && hour < 3)) entries.push(...turns);
    }
  }
  PARCEL.forEach(([ago, text, reply, signal], index) => entries.push({
    agent_id: 'support', user_id: 'maria', timestamp: iso(now - ago * MINUTE), user_input: text, agent_output: reply, session_id: 'parcel-4471',
    ...(signal === 'neutral' && { detected_signal: signal }), escalation_flag: index === 4, response_type: index === 4 ? 'handover' : 'answer',
    metadata: { model: 'assistant-2', latency_ms: 640 + 90 * index },
  }));
  const recent = entries.filter(({ timestamp }) => Date.parse(timestamp) < now)
    .map((entry) => ({ ...entry, log_id: idOf(Date.parse(entry.timestamp), random) }));
  for (let first = 0; first < recent.length; first += BATCH) await send(`${url}/logs`, key, recent.slice(first, first + BATCH));
  await send(`${url}/events`, key, eventsOf(now));
  return recent.length;
}

/** Sends a batch until all of it is stored or queued. */
async function send(url, key, items) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const response = await fetch(url, { method: 'POST', headers: { 'X-API-Key': key, 'Content-Type': 'application/json' }, body: JSON.stringify(items) });
    const answer = await response.json();
    if (response.status < 500 && !answer.results) throw new Error(`${response.status} ${JSON.stringify(answer)}`);
    if (answer.results?.every(({ status }) => ['ok', 'ingested', 'duplicate', 'queued'].includes(status))) return;
    await setTimeout(1000 * attempt);
  }
  throw new Error(`The stack did not store a batch in ${ATTEMPTS} attempts: ${url}`);
}

/** Returns a UUIDv7. @param {number} time Unix milliseconds @param {() => number} random */
export function idOf(time, random) {
  const hex = (digits) => Math.floor(random() * 16 ** digits).toString(16).padStart(digits, '0');
  const at = time.toString(16).padStart(12, '0');
  return `${at.slice(0, 8)}-${at.slice(8)}-7${hex(3)}-8${hex(3)}-${hex(6)}${hex(6)}`;
}

function session(random, start, isBad) {
  const pick = (list) => list[Math.floor(random() * list.length)];
  const agent = Object.keys(AGENTS).find((name, index, all) => random() < AGENTS[name].share / all.slice(index).reduce((sum, other) => sum + AGENTS[other].share, 0));
  // Some users write much more than others.
  const user = USERS[Math.floor(random() ** 1.6 * USERS.length)];
  const id = `${agent}-${Math.floor(random() * 0xffffff).toString(16)}`;
  return Array.from({ length: 1 + Math.floor(random() * 3) }, (_, index) => {
    const [positive, neutral, stressed] = isBad && agent !== 'concierge' ? [0.08, 0.3, 0.5] : AGENTS[agent].mood;
    const at = random();
    const signal = SIGNALS[[positive, positive + neutral, positive + neutral + stressed, 1].findIndex((limit) => at < limit)];
    const [text, reply] = pick(WORDS[signal]);
    return {
      agent_id: agent, user_id: user, timestamp: iso(start + index * 3 * MINUTE), user_input: text, agent_output: reply, detected_signal: signal,
      session_id: id, response_type: 'answer', metadata: { model: isBad ? 'assistant-2.1' : 'assistant-2', latency_ms: 400 + Math.floor(random() * 900) },
    };
  });
}

function eventsOf(now) {
  const events = [];
  const event = (time, type) => events.push({ agent_id: 'support', user_id: 'maria', signal_type: type, timestamp: iso(time), event_id: `${type}-${events.length}` });
  for (let hour = 1; hour < 7 * 24; hour += 2) for (let n = 0; n < hour % 4; n += 1) event(now - hour * HOUR + n * MINUTE, 'message');
  for (let n = 0; n < 17; n += 1) event(now - 15 * MINUTE + n * 150, 'button');
  for (let n = 0; n < 13; n += 1) event(now - 51 * HOUR + n * 300, 'button');
  return events;
}

const iso = (time) => new Date(time).toISOString();

/** Returns pseudo-random numbers from 0 to 1: a linear congruential generator with the constants of Numerical Recipes. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
