// The command lines of the examples, which other people's tests and benchmarks drive.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { bin, runNative, startServer, within } from './support.mjs';

const folder = mkdtempSync(join(tmpdir(), 'twinloop-programs-'));
after(() => rmSync(folder, { recursive: true }));

const withEcho = async (args, listeners, use) => {
  const server = await startServer('echo_server', args, listeners);
  try {
    await use(...server.urls);
  } finally {
    assert.equal(await server.stop(), 0, 'SIGTERM ends it with status 0');
  }
};

const address = (url) => ({ host: new URL(url).hostname, port: Number(new URL(url).port) });

test('echo_server prints a line for each listener with the real port, serves, and ends with 0', () =>
  withEcho(['tcp://127.0.0.1:0', 'ws://127.0.0.1:0/'], 2, async (tcp, ws) => {
    assert.match(tcp, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/);
    assert.match(ws, /^ws:\/\/127\.0\.0\.1:[1-9]\d*\/$/);
    for (const url of [tcp, ws]) {
      const { status, output, error } = await runNative('stream_cat', [url], 'over and back\n');
      assert.deepEqual([status, output, error], [0, 'over and back\n', '']);
    }
  }));

for (const backend of ['epoll', 'select']) {
  test(`echo_server --backend ${backend} echoes five megabytes to stream_cat on the same backend`, () =>
    withEcho(['--backend', backend, 'tcp://127.0.0.1:0'], 1, async (tcp) => {
      const bytes = 'all work and no play makes a dull stream\n'.repeat(125_000);
      const { status, output } = await runNative('stream_cat', ['--backend', backend, tcp], bytes);
      assert.equal(status, 0);
      assert.ok(output === bytes, 'the same bytes came back');
    }));
}

test('echo_server --lines answers a whole line, not a piece of one', () =>
  withEcho(['--lines', 'tcp://127.0.0.1:0'], 1, async (tcp) => {
    const client = connect(address(tcp));
    client.write('half a li');
    client.write('ne\nand more');
    const [answer] = await within(once(client, 'data'), 'an answer');
    assert.equal(String(answer), 'half a line\n');
    client.destroy();
  }));

test('an unknown backend is refused with the list of those there are', async () => {
  for (const name of ['echo_server', 'stream_cat']) {
    const { status, error } = await runNative(name, ['--backend', 'teleport', 'tcp://127.0.0.1:1'], '');
    assert.notEqual(status, 0);
    assert.match(error, /teleport/);
    assert.match(error, /epoll/);
    assert.match(error, /select/);
  }
});

test('stream_cat ends with the peer, status 0', async () => {
  const server = createServer((socket) => socket.end('bye\n')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cat = spawn(bin('stream_cat'), [`tcp://127.0.0.1:${server.address().port}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  cat.stdout.on('data', (chunk) => (output += chunk));
  const [status] = await within(once(cat, 'close'), 'stream_cat ends although its input is open');
  assert.deepEqual([status, output], [0, 'bye\n']);
  server.close();
});

for (const [what, open] of [
  ['a file', () => (writeFileSync(join(folder, 'input'), 'from a file\n'), openSync(join(folder, 'input'), 'r'))],
  ['/dev/null', () => openSync('/dev/null', 'r')],
]) {
  test(`stream_cat takes ${what} as its input`, () =>
    withEcho(['tcp://127.0.0.1:0'], 1, async (tcp) => {
      const input = open();
      const cat = spawn(bin('stream_cat'), [tcp], { stdio: [input, openSync(join(folder, 'output'), 'w'), 'inherit'] });
      const [status] = await within(once(cat, 'exit'), 'stream_cat');
      closeSync(input);
      assert.equal(status, 0);
      assert.equal(readFileSync(join(folder, 'output'), 'utf8'), what === 'a file' ? 'from a file\n' : '');
    }));
}

test('stream_cat takes a closed input for an ended one', () =>
  withEcho(['tcp://127.0.0.1:0'], 1, async (tcp) => {
    const cat = spawn('/bin/sh', ['-c', 'exec "$0" "$1" <&-', bin('stream_cat'), tcp], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [status] = await within(once(cat, 'exit'), 'stream_cat');
    assert.equal(status, 0);
  }));

test('a failure of stream_cat is status 1 and one line that names the URL and the reason', async () => {
  for (const [url, reason] of [
    ['tcp://127.0.0.1:1', /refused/],
    ['ws://127.0.0.1:1/', /refused/],
    ['gopher://127.0.0.1:1', /gopher/],
    ['no-url', /scheme/],
  ]) {
    const { status, error } = await runNative('stream_cat', [url], '');
    assert.equal(status, 1, url);
    assert.equal(error.trimEnd().split('\n').length, 1, error);
    assert.ok(error.includes(url), error);
    assert.match(error, reason);
  }
});

test('the chat server drops nobody for garbage on its web port and answers what it does not serve', async () => {
  const server = await startServer('chat_server', ['--port', '0', '--chat-port', '0', '--web-root', folder], 2);
  const http = server.urls.find((url) => url.startsWith('http:'));
  const answers = [];
  for (const text of ['GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n', 'POST / HTTP/1.1\r\nHost: x\r\n\r\n', '\x00\xff garbage\r\n\r\n']) {
    const client = connect(address(http));
    client.end(text);
    let answer = '';
    client.on('data', (chunk) => (answer += chunk));
    await within(once(client, 'close'), 'an answer');
    answers.push(answer.split(' ')[1]);
  }
  assert.deepEqual(answers, ['404', '405', '400']);
  assert.equal(await server.stop(), 0);
});

test("the README's program joins the chat room", async () => {
  const server = await startServer('chat_server', ['--port', '0', '--chat-port', '0', '--web-root', folder], 2);
  const tcp = server.urls.find((url) => url.startsWith('tcp:'));
  const monitor = connect(address(tcp)).setEncoding('utf8');
  let heard = '';
  const joined = new Promise((done) => monitor.on('data', (chunk) => (heard += chunk).includes('joined ada\n') && done()));
  monitor.write('name eve\n');
  await within(once(monitor, 'data'), 'the room answers');
  const example = spawn(bin('readme_example'), [tcp], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  example.stdout.on('data', (chunk) => (output += chunk));
  const ended = once(example, 'close');
  await within(joined, 'the program joins');
  await server.stop();
  await within(ended, 'the program ends with the server');
  assert.match(output, /^welcome ada/);
  monitor.destroy();
});
