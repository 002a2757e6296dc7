// One source, four runs: chat_client natively over TCP, natively over WebSocket, in Node and in Chromium, exchanges the same script
// with the same server and says the same, byte for byte.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { runInPage, runNative, runWasm, demo, startBrowser, startServer } from './support.mjs';

const script = [
  'hello from one source',
  '/who',
  'ünïcödé: käse, 漢字, 🧀',
  ...Array.from({ length: 50 }, (_, i) => `line ${i} ${'x'.repeat(i * 7)}`),
  '/quit',
  '',
].join('\n');

let server, browser, tcp, ws, page;
const transcripts = new Map();

before(async () => {
  server = await startServer('chat_server', ['--port', '0', '--chat-port', '0', '--web-root', demo], 2);
  const http = server.urls.find((url) => url.startsWith('http:'));
  tcp = server.urls.find((url) => url.startsWith('tcp:'));
  ws = `${http.replace('http:', 'ws:')}chat`;
  browser = await startBrowser();
  page = await browser.context.newPage();
  await page.goto(http);
});

after(async () => {
  await browser?.stop();
  await server?.stop();
});

function keep(where, { status, output, error }) {
  assert.equal(status, 0, error);
  assert.match(output, /^welcome twin \(1 here\)\n/);
  assert.match(output, /\nbye\n$/);
  transcripts.set(where, output);
}

test('natively over TCP', async () => keep('tcp', await runNative('chat_client', [tcp, 'twin'], script)));
test('natively over WebSocket', async () => keep('ws', await runNative('chat_client', [ws, 'twin'], script)));
test('in wasm under Node', async () => keep('node', await runWasm('chat_client', [ws, 'twin'], script)));
test('in wasm in Chromium', async () => keep('chromium', await runInPage(page, 'chat_client', [ws, 'twin'], script)));

test('all four transcripts are byte-identical and whole', () => {
  assert.equal(transcripts.size, 4);
  const [first] = transcripts.values();
  assert.equal(first.split('\n').length, script.split('\n').length + 1, 'a line for each line, and the welcome');
  for (const [where, transcript] of transcripts) assert.equal(transcript, first, `${where} differs`);
});
