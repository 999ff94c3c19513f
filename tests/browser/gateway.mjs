// A proxy to the stack that can be stopped and started, to simulate an outage.
import { createServer, request } from 'node:http';
import { after } from 'node:test';

/** @param {string} home where the stack is @returns {Promise<{url: string, stop(): Promise<void>, start(): Promise<void>}>} */
export async function startGateway(home) {
  const server = createServer((asked, answered) => {
    // The stack rejects other hosts and origins than its own.
    const headers = { ...asked.headers, host: new URL(home).host };
    if (headers.origin) headers.origin = new URL(home).origin;
    const passed = request(new URL(asked.url, home), { method: asked.method, headers }, (response) => {
      answered.writeHead(response.statusCode, response.headers);
      response.pipe(answered);
    });
    // The stack's end is the tests' end as well.
    passed.on('error', () => answered.destroy());
    asked.pipe(passed);
  });
  let port = 0;
  const start = () => new Promise((done) => { server.listen(port, '127.0.0.1', done); });
  const stop = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  await start();
  ({ port } = server.address());
  after(() => server.listening && stop());
  return { url: `http://127.0.0.1:${port}`, start, stop };
}
