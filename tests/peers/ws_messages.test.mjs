// WebSockets as messages, compressed and not, against Node's ws, Python's websockets and Chromium.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { bin, bytes, missing, run, startServer, WebSocket, WebSocketServer, within } from './support.mjs';
import { startBrowser } from '../browser.mjs';

const kModes = { plain: [], 'remembering': ['--deflate'], 'forgetting': ['--no-context-takeover'] };
const servers = {};

before(async () => {
  for (const [mode, flags] of Object.entries(kModes)) {
    servers[mode] = await startServer('ws_echo', ['0', '--any-origin', ...flags], 1);
  }
});

after(async () => {
  for (const server of Object.values(servers)) assert.equal(await server.stop(), 0);
});

const url = (mode) => servers[mode].urls[0];

// Text whose parts are alike, and bytes that are not: the second does not shrink.
const kMessages = [
  'hello', '', 'héllo wörld € 😀', 'x'.repeat(125), 'x'.repeat(126), 'x'.repeat(65_536), 'the same again and again '.repeat(20_000),
  bytes(1), bytes(127), bytes(65_535), bytes(1_000_000), 'the same again and again '.repeat(20_000), Buffer.alloc(0),
];

async function echoed(socket, messages) {
  await within(once(socket, 'open'), 'the handshake');
  for (const message of messages) {
    const came = once(socket, 'message');
    socket.send(message);
    const [data, isBinary] = await within(came, 'the echo');
    assert.equal(isBinary, typeof message !== 'string');
    assert.ok(data.equals(Buffer.from(message)));
  }
}

const kOffers = {
  plain: false,
  deflate: true,
  'deflate without takeover': { serverNoContextTakeover: true, clientNoContextTakeover: true },
  'deflate with small windows': { serverMaxWindowBits: 10, clientMaxWindowBits: 9, threshold: 0 },
};

for (const mode of Object.keys(kModes)) {
  for (const [offer, perMessageDeflate] of Object.entries(kOffers)) {
    test(`ws as a client offering ${offer}, a ${mode} server: every message comes back`, async () => {
      const socket = new WebSocket(url(mode), { perMessageDeflate });
      await echoed(socket, kMessages);
      const agreed = mode === 'plain' || offer === 'plain' ? '' : 'permessage-deflate';
      assert.equal(socket.extensions, agreed);
      const closed = once(socket, 'close');
      socket.close(4321, 'enough');
      const [code, reason] = await within(closed, 'the close handshake');
      assert.equal(code, 4321);
      assert.equal(String(reason), '');
    });
  }

  test(`ws as a server, a ${mode} client: every message comes back, whatever the server agrees to`, async () => {
    for (const perMessageDeflate of Object.values(kOffers)) {
      const peer = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
      await once(peer, 'listening');
      const connected = once(peer, 'connection');
      const client = spawn(bin('ws_echo'), ['--connect', `ws://127.0.0.1:${peer.address().port}/`, ...kModes[mode]], { stdio: ['ignore', 'pipe', 'inherit'] });
      const ended = once(client, 'exit');
      let said = '';
      client.stdout.on('data', (chunk) => (said += chunk));
      const [socket] = await within(connected, 'the handshake');
      for (const message of kMessages) {
        const came = once(socket, 'message');
        socket.send(message);
        const [data, isBinary] = await within(came, 'the echo');
        assert.equal(isBinary, typeof message !== 'string');
        assert.ok(data.equals(Buffer.from(message)));
      }
      const closed = once(socket, 'close');
      socket.close(1000, 'enough');
      const [code] = await within(closed, 'the close handshake');
      assert.equal(code, 1000);
      assert.deepEqual(await within(ended, 'ws_echo ends'), [0, null]);
      assert.match(said, mode === 'plain' || perMessageDeflate === false ? /plain/ : /compressed/);
      peer.close();
    }
  });
}

test('fragments of a compressed message, with a ping between them', async () => {
  const socket = new WebSocket(url('remembering'), { perMessageDeflate: { threshold: 0 } });
  await within(once(socket, 'open'), 'the handshake');
  const pong = once(socket, 'pong');
  const came = once(socket, 'message');
  socket.send('one two '.repeat(1000), { fin: false });
  socket.ping('how are you');
  socket.send('three', { fin: true });
  const [said] = await within(pong, 'the pong');
  assert.equal(String(said), 'how are you');
  const [data] = await within(came, 'the echo');
  assert.equal(String(data), 'one two '.repeat(1000) + 'three');
  socket.terminate();
});

test('what ws says wrongly is answered with its code', async () => {
  for (const [frame, expected] of [
    [Buffer.from([0x82, 0x00]), 1002], // not masked
    [Buffer.from([0x83, 0x80, 0, 0, 0, 0]), 1002],
    [Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]), 1007],
    [Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0]), 1009],
  ]) {
    const socket = new WebSocket(url('plain'));
    await within(once(socket, 'open'), 'the handshake');
    const closed = once(socket, 'close');
    socket._socket.write(frame);
    const [code] = await within(closed, 'the close');
    assert.equal(code, expected);
  }
});

const kPythonClient = `
import asyncio, sys, websockets
async def main():
    for compression in ("deflate", None):
        async with websockets.connect(sys.argv[1], max_size=None, compression=compression) as ws:
            for message in ("hello", "", "h\\u00e9llo" * 1000, bytes(range(256)) * 1000, "again " * 30000, "again " * 30000):
                await ws.send(message)
                assert await ws.recv() == message
            async def parts():
                for i in range(100): yield "part %d " % i
            await ws.send(parts())
            assert await ws.recv() == "".join("part %d " % i for i in range(100))
            await asyncio.wait_for(await ws.ping(), 20)
            await ws.close(1000, "bye")
        print("closed", ws.close_code)
asyncio.run(main())
`;

for (const mode of Object.keys(kModes)) {
  test(`Python's websockets as a client of a ${mode} server`, { skip: missing('websockets') }, async () => {
    const { output, error } = await run('/usr/bin/python3', ['-c', kPythonClient, url(mode)]);
    assert.equal(output.toString(), 'closed 1000\nclosed 1000\n', error);
  });
}

const kPythonServer = `
import asyncio, websockets
async def talk(ws):
    for message in ("hello", "", bytes(range(256)) * 1000, "again " * 30000, "again " * 30000):
        await ws.send(message)
        assert await ws.recv() == message
    await ws.close(4000, "enough")
    done.set()
async def main():
    global done
    done = asyncio.Event()
    async with websockets.serve(talk, "127.0.0.1", 0, ping_interval=0.05, max_size=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.wait_for(done.wait(), 50)
asyncio.run(main())
`;

for (const mode of Object.keys(kModes)) {
  test(`Python's websockets as a server of a ${mode} client`, { skip: missing('websockets') }, async () => {
    const peer = spawn('/usr/bin/python3', ['-c', kPythonServer], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(peer, 'close');
    const [port] = await within(once(peer.stdout, 'data'), 'the server listens');
    const { status, output, error } = await run(bin('ws_echo'), ['--connect', `ws://127.0.0.1:${String(port).trim()}/`, ...kModes[mode]]);
    assert.equal(status, 0, error);
    assert.match(output.toString(), mode === 'plain' ? /plain/ : /compressed/);
    assert.deepEqual(await within(ended, 'python ends'), [0, null]);
  });
}

test('a page in Chromium: text, bytes, compression and close codes', { skip: missing('chromium') }, async () => {
  const browser = await startBrowser();
  const site = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<title>page</title>'));
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  try {
    const page = await browser.context.newPage();
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    for (const mode of Object.keys(kModes)) {
      const told = await within(page.evaluate(talk, url(mode)), 'the page');
      assert.deepEqual(told, { echoed: true, code: 4001, clean: true, extensions: mode === 'plain' ? '' : told.extensions });
      if (mode !== 'plain') assert.match(told.extensions, /^permessage-deflate/);
    }
  } finally {
    site.close();
    await browser.stop();
  }
});

// Runs in the page.
async function talk(address) {
  const socket = new WebSocket(address);
  socket.binaryType = 'arraybuffer';
  await new Promise((done, fail) => ((socket.onopen = done), (socket.onerror = fail)));
  const next = () => new Promise((done) => (socket.onmessage = (event) => done(event.data)));
  let echoed = true;
  for (const text of ['hello', '', 'h\u00e9llo \u{1f600}', 'again '.repeat(30_000), 'again '.repeat(30_000)]) {
    const came = next();
    socket.send(text);
    echoed &&= (await came) === text;
  }
  for (const size of [0, 1, 126, 65_536, 1_000_000]) {
    const sent = new Uint8Array(size).map((_, i) => (i * 31) ^ (i >> 8));
    const came = next();
    socket.send(sent);
    const got = new Uint8Array(await came);
    echoed &&= got.length === size && got.every((byte, i) => byte === sent[i]);
  }
  const { extensions } = socket;
  const closed = new Promise((done) => (socket.onclose = done));
  socket.close(4001, 'enough');
  const { code, wasClean } = await closed;
  return { echoed, code, clean: wasClean, extensions };
}
