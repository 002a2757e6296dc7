// TCP against socat, curl, redis and Node's net.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { all, bin, bytes, freePort, missing, run, runNative, Stage, startServer, within } from './support.mjs';

let stage, server, echo;

before(async () => {
  stage = await Stage.open();
  server = await startServer('echo_server', ['tcp://127.0.0.1:0'], 1);
  echo = new URL(server.urls[0].replace('tcp:', 'http:'));
});

after(async () => {
  assert.equal(await server?.stop(), 0);
  await stage?.close();
});

const connectToEcho = (options = {}) => net.connect({ port: Number(echo.port), host: '127.0.0.1', ...options });

test('socat gets back what it sends, then the end for its half-close', { skip: missing('socat') }, async () => {
  const sent = bytes(3_000_000);
  const { status, output } = await run('socat', ['-t', '30', '-', `TCP:${echo.host}`], sent);
  assert.equal(status, 0);
  assert.ok(output.equals(sent));
});

test('stream_cat talks to a server of socat', { skip: missing('socat') }, async () => {
  const child = spawn('socat', ['-d', '-d', 'TCP-LISTEN:0,bind=127.0.0.1', 'EXEC:tr a-z A-Z'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(child, 'close');
  const port = await within(new Promise((done) => {
    let said = '';
    child.stderr.on('data', (chunk) => {
      said += chunk;
      const found = /listening on AF=2 127\.0\.0\.1:(\d+)/.exec(said);
      if (found) done(found[1]);
    });
  }), 'socat listens');
  const { status, output } = await runNative('stream_cat', [`tcp://127.0.0.1:${port}`], 'one\ntwo\n');
  assert.equal(status, 0);
  assert.equal(output, 'ONE\nTWO\n');
  await within(ended, 'socat ends');
});

test('curl has a conversation', { skip: missing('curl') }, async () => {
  const { output } = await run('curl', ['-sS', '--max-time', '30', `telnet://${echo.host}`], 'hello\n');
  assert.equal(output.toString(), 'hello\n');
});

test('redis answers through stream_cat', { skip: missing('redis-server') }, async () => {
  const port = await freePort();
  await stage.daemon('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', stage.folder], port);
  const value = 'x'.repeat(100_000);
  const commands = `*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n${value}\r\nGET k\r\nDEL n\r\nNONSENSE\r\nQUIT\r\n`;
  const { status, output } = await runNative('stream_cat', [`tcp://127.0.0.1:${port}`], commands);
  assert.equal(status, 0);
  assert.match(output, /^\+OK\r\n\$100000\r\nx{100000}\r\n:0\r\n-ERR unknown command[^\r]*\r\n\+OK\r\n$/);

  const proxy = await startServer('proxy', ['ws://127.0.0.1:0/redis', `tcp://127.0.0.1:${port}`], 1);
  const through = await runNative('stream_cat', [proxy.urls[0]], commands);
  assert.equal(through.status, 0, through.error);
  assert.equal(through.output, output);
  assert.equal(await proxy.stop(), 0);
});

test("a socket of Node's half-closes and gets the rest", async () => {
  const sent = bytes(1_000_000);
  const socket = connectToEcho({ allowHalfOpen: true });
  socket.end(sent);
  assert.ok((await within(all(socket), 'the echo')).equals(sent));
});

test("a socket of Node's resets, and the next ones are served", async () => {
  for (let i = 0; i < 50; i++) {
    const socket = connectToEcho();
    await once(socket, 'connect');
    socket.write(bytes(100_000));
    socket.resetAndDestroy();
  }
  const socket = connectToEcho({ allowHalfOpen: true });
  socket.end('still here');
  assert.equal(String(await within(all(socket), 'the echo')), 'still here');
});

test("stream_cat reports a reset by a server of Node's", async () => {
  const peer = net.createServer((socket) => {
    socket.write('half of it');
    socket.once('data', () => socket.resetAndDestroy());
  });
  peer.listen(0, '127.0.0.1');
  await once(peer, 'listening');
  const url = `tcp://127.0.0.1:${peer.address().port}`;
  const { status, error } = await runNative('stream_cat', [url], 'go\n');
  peer.close();
  assert.equal(status, 1);
  assert.match(error, /^stream_cat: tcp:\/\/127\.0\.0\.1:\d+: .*reset/);
});

test('four threads serve one port, and each connection is whole', async () => {
  const many = await startServer('echo_server', ['--threads', '4', 'tcp://127.0.0.1:0'], 1);
  const port = Number(new URL(many.urls[0].replace('tcp:', 'http:')).port);
  const clients = Array.from({ length: 100 }, async (_, i) => {
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end(`client ${i} `.repeat(1000));
    assert.equal(String(await all(socket)), `client ${i} `.repeat(1000));
  });
  await within(Promise.all(clients), 'all the echoes');
  assert.equal(await many.stop(), 0);
});

for (const threads of [1, 3]) {
  test(`a socket that a supervisor opened is served, by ${threads} of ours`, async () => {
    const listener = net.createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address();
    const script = `LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=echo exec "$0" --systemd --threads ${threads}`;
    const child = spawn('/bin/sh', ['-c', script, bin('echo_server')], { stdio: ['ignore', 'pipe', 'inherit', listener._handle.fd] });
    const ended = once(child, 'close');
    const [line] = await within(once(child.stdout, 'data'), 'the server listens');
    listener.close();
    assert.equal(String(line), `listening tcp://127.0.0.1:${port}\n`);
    const clients = Array.from({ length: 100 }, async (_, i) => {
      const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.end(`handed over ${i}`);
      assert.equal(String(await all(socket)), `handed over ${i}`);
    });
    await within(Promise.all(clients), 'all the echoes');
    child.kill('SIGTERM');
    assert.deepEqual(await within(ended, 'the server ends'), [0, null]);
  });
}

test('1,000 sockets at once, each with its own bytes', async () => {
  const clients = Array.from({ length: 1000 }, async (_, i) => {
    const socket = connectToEcho({ allowHalfOpen: true });
    const sent = `client ${i} `.repeat(100);
    socket.end(sent);
    assert.equal(String(await all(socket)), sent);
  });
  await within(Promise.all(clients), 'all the echoes');
});
