// The PROXY protocol from HAProxy, in both versions, and from curl.
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { all, freePort, missing, run, runNative, Stage, startServer, within } from './support.mjs';

let stage, server, backend;

before(async () => {
  stage = await Stage.open();
  server = await startServer('echo_server', ['--proxy-protocol', '--name-peers', 'tcp://127.0.0.1:0', 'ws://127.0.0.1:0/'], 2);
  backend = new URL(server.urls[0].replace('tcp:', 'http:')).host;
});

after(async () => {
  assert.equal(await server?.stop(), 0);
  await stage?.close();
});

// An HAProxy in front of one of our listeners; gives its port.
async function startHaproxy(send, to) {
  const port = await freePort();
  const conf = await stage.file(`haproxy-${port}.conf`, `
    defaults
      mode tcp
      timeout connect 20s
      timeout client 20s
      timeout server 20s
    listen front
      bind 127.0.0.1:${port}
      server back ${to} ${send}
`);
  await stage.daemon('haproxy', ['-db', '-f', conf], port);
  return port;
}

for (const [version, send] of [[1, 'send-proxy'], [2, 'send-proxy-v2'], [2, 'send-proxy-v2 proxy-v2-options unique-id,crc32c,authority']]) {
  test(`HAProxy says who is behind it: version ${version} (${send})`, { skip: missing('haproxy') }, async () => {
    const port = await startHaproxy(send, backend);
    const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    const own = socket.localPort;
    socket.end('hello\n');
    assert.equal(String(await within(all(socket), 'the echo')), `you are tcp://127.0.0.1:${own}\nhello\n`);
  });
}

test('HAProxy in front of a WebSocket: the header stands below it', { skip: missing('haproxy') }, async () => {
  const port = await startHaproxy('send-proxy-v2', new URL(server.urls[1]).host);
  const { status, output, error } = await runNative('stream_cat', [`ws://127.0.0.1:${port}/`], 'hello\n');
  assert.equal(status, 0, error);
  assert.match(output, /^you are tcp:\/\/127\.0\.0\.1:\d+\nhello\n$/);
});

test('curl says who it is', { skip: missing('curl') }, async () => {
  const { output, error } = await run('curl', ['-sS', '--haproxy-protocol', '--max-time', '30', `telnet://${backend}`], 'hello\n');
  assert.match(output.toString(), /^you are tcp:\/\/127\.0\.0\.1:\d+\nhello\n$/, error);
});

test('who says nothing of it is refused', async () => {
  const socket = net.connect(Number(backend.split(':')[1]), '127.0.0.1');
  socket.on('error', () => {});
  socket.end('GET / HTTP/1.1\r\n\r\n');
  assert.equal((await within(all(socket).catch(() => Buffer.alloc(0)), 'the end')).length, 0);
});
