// WebSocket against Node's ws, Python's websockets and an nginx between.  (Chromium is in tests/web.)
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { bytes, freePort, missing, run, runNative, Stage, startServer, WebSocket, WebSocketServer, within } from './support.mjs';

let stage, server, url;

before(async () => {
  stage = await Stage.open();
  server = await startServer('echo_server', ['ws://127.0.0.1:0/echo'], 1);
  url = server.urls[0];
});

after(async () => {
  assert.equal(await server?.stop(), 0);
  await stage?.close();
});

// Sends every piece as one message and gives the bytes that came back, and how the connection ended.
async function echoed(socket, pieces) {
  const expected = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const got = [];
  let size = 0;
  const whole = new Promise((done) => {
    socket.on('message', (data, isBinary) => {
      assert.ok(isBinary, 'bytes travel in binary messages');
      got.push(data);
      size += data.length;
      if (size >= expected) done();
    });
  });
  await within(once(socket, 'open'), 'the handshake');
  for (const piece of pieces) socket.send(piece);
  await within(whole, 'the echo');
  socket.close(1000);
  const [code] = await within(once(socket, 'close'), 'the close handshake');
  return { received: Buffer.concat(got), code };
}

test('ws gets back messages of every length class, and its close code', async () => {
  const pieces = [1, 125, 126, 127, 65_535, 65_536, 1_000_000].map(bytes);
  const { received, code } = await echoed(new WebSocket(url, { perMessageDeflate: true }), pieces);
  assert.ok(received.equals(Buffer.concat(pieces)));
  assert.equal(code, 1000);
});

test('ws may split a message and ping in the middle of it', async () => {
  const socket = new WebSocket(url);
  await within(once(socket, 'open'), 'the handshake');
  let got = '';
  const whole = new Promise((done) => socket.on('message', (data) => (got += data) === 'abcdef' && done()));
  const pong = once(socket, 'pong');
  socket.send('ab', { fin: false, binary: true });
  socket.ping('how are you');
  socket.send('cd', { fin: false });
  socket.send('ef', { fin: true });
  const [said] = await within(pong, 'the pong');
  assert.equal(String(said), 'how are you');
  await within(whole, 'the echo');
  socket.terminate();
});

test('a path that is not ours, and a page from elsewhere, are refused', async () => {
  for (const [address, options, status] of [[url.replace('/echo', '/other'), {}, 404], [url, { origin: 'http://elsewhere.example' }, 403]]) {
    const socket = new WebSocket(address, options);
    socket.on('error', () => {});
    const [, response] = await within(once(socket, 'unexpected-response'), 'the refusal');
    assert.equal(response.statusCode, status);
    response.destroy();
  }
});

// Runs stream_cat against a server with ws that does this with its connection.
async function catTo(talk, input) {
  const peer = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(peer, 'listening');
  peer.on('connection', talk);
  const result = await runNative('stream_cat', [`ws://127.0.0.1:${peer.address().port}/`], input, { hold: true });
  peer.close();
  return result;
}

test('stream_cat to a server with ws: messages, fragments and pings are one stream', async () => {
  let heard = '';
  const { status, output, error } = await catTo((socket) => {
    socket.send(Buffer.from('whole, '));
    socket.send(Buffer.from('frag'), { fin: false });
    socket.ping();
    socket.send(Buffer.from('ments\n'), { fin: true });
    socket.on('message', (data) => (heard += data) === 'from the terminal\n' && socket.close(1000));
  }, 'from the terminal\n');
  assert.equal(status, 0, error);
  assert.equal(output, 'whole, fragments\n');
  assert.equal(heard, 'from the terminal\n');
});

test('a message of text is refused with 1003', async () => {
  let closed;
  const { status, error } = await catTo((socket) => {
    closed = once(socket, 'close');
    socket.send('text');
  }, '');
  assert.equal(status, 1);
  assert.match(error, /protocol/);
  const [code] = await within(closed, 'the close handshake');
  assert.equal(code, 1003);
});

const kPythonClient = `
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1], max_size=None) as ws:
        async def parts():
            for i in range(100): yield bytes([i]) * 1000
        await ws.send(parts())
        got = b""
        while len(got) < 100000: got += await ws.recv()
        assert got == b"".join(bytes([i]) * 1000 for i in range(100))
        waiter = await ws.ping()
        await asyncio.wait_for(waiter, 20)
    print("closed", ws.close_code)
asyncio.run(main())
`;

test("Python's websockets as a client: fragments, ping, close handshake", { skip: missing('websockets') }, async () => {
  const { output, error } = await run('/usr/bin/python3', ['-c', kPythonClient, url]);
  assert.equal(output.toString(), 'closed 1000\n', error);
});

const kPythonServer = `
import asyncio, websockets
async def talk(ws):
    await ws.send(b"hello from python\\n")
    line = await ws.recv()
    await ws.send(line.upper())
    await ws.close(1000)
    done.set()
async def main():
    global done
    done = asyncio.Event()
    async with websockets.serve(talk, "127.0.0.1", 0, ping_interval=0.1) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.wait_for(done.wait(), 50)
asyncio.run(main())
`;

test("stream_cat to a server with Python's websockets", { skip: missing('websockets') }, async () => {
  const peer = spawn('/usr/bin/python3', ['-c', kPythonServer], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(peer, 'close');
  const [port] = await within(once(peer.stdout, 'data'), 'the server listens');
  const { status, output, error } = await runNative('stream_cat', [`ws://127.0.0.1:${String(port).trim()}/`], 'quiet\n', { hold: true });
  assert.equal(status, 0, error);
  assert.equal(output, 'hello from python\nQUIET\n');
  await within(ended, 'python ends');
});

test('through an nginx that passes WebSockets on', { skip: missing('nginx') }, async () => {
  const port = await freePort();
  const conf = await stage.file('nginx.conf', `
    daemon off; master_process off; pid ${stage.path('nginx.pid')}; error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path ${stage.path('b')}; proxy_temp_path ${stage.path('p')}; fastcgi_temp_path ${stage.path('f')};
      uwsgi_temp_path ${stage.path('u')}; scgi_temp_path ${stage.path('s')};
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass ${url.replace('ws:', 'http:').replace('/echo', '')};
          proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        }
      }
    }`);
  await stage.daemon('nginx', ['-p', stage.folder, '-c', conf], port);
  const pieces = [bytes(10), bytes(2_000_000)];
  const { received, code } = await echoed(new WebSocket(`ws://127.0.0.1:${port}/echo`), pieces);
  assert.ok(received.equals(Buffer.concat(pieces)));
  assert.equal(code, 1000);
  const cat = await runNative('stream_cat', [`ws://127.0.0.1:${port}/echo`], 'both ends are ours\n');
  assert.equal(cat.status, 0, cat.error);
  assert.equal(cat.output, 'both ends are ours\n');
});
