// examples/long_poll: whoever waits there and goes, however he goes, is named with the reason and the time.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { platform } from 'node:os';
import { after, before, test } from 'node:test';
import { missing, Stage, startServer, within } from './support.mjs';
import { startBrowser } from '../browser.mjs';

let server, url, port;
let waiting = 0; // how many have asked for /wait

before(async () => {
  server = await startServer('long_poll', ['http://127.0.0.1:0', '--keep-alive', '1', '--interval', '1', '--probes', '1'], 1);
  url = server.urls[0];
  port = Number(new URL(url).port);
});

after(async () => assert.equal(await server?.stop(), 0));

const nextWaits = () => server.said(new RegExp(`^#${++waiting} waits: 127\\.0\\.0\\.1$`));
const toldGone = (number) => server.said(new RegExp(`^#${number} gone \\((.*)\\) after (\\d+) ms$`));

async function openSocket() {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  const waits = nextWaits();
  socket.write('GET /wait HTTP/1.1\r\nHost: a\r\n\r\n');
  await waits;
  return socket;
}

test('who waits hears the message', async () => {
  const waits = nextWaits();
  const answer = fetch(`${url}/wait`);
  await waits;
  await fetch(`${url}/say`, { method: 'POST', body: new URLSearchParams({ text: 'hello' }) });
  assert.equal(await (await answer).text(), 'hello\n');
  await server.said(/^#1 answered after \d+ ms$/);
});

for (const [name, go, reason] of [
  ['ends its sending side (FIN)', (socket) => socket.end(), /end/],
  ['closes (FIN)', (socket) => socket.destroy(), /end/],
  ['resets (RST)', (socket) => socket.resetAndDestroy(), /torn down|reset/],
]) {
  test(`a client that ${name} is named at once, with the reason`, async (t) => {
    const socket = await openSocket();
    const begun = performance.now();
    go(socket);
    const [, why, milliseconds] = await toldGone(waiting);
    const noticed = performance.now() - begun;
    t.diagnostic(`noticed after ${noticed.toFixed(1)} ms: ${why}`);
    assert.match(why, reason);
    assert.ok(Number(milliseconds) < 60_000);
    socket.destroy();
  });
}

test('a curl that is killed is named at once', { skip: missing('curl') }, async () => {
  const waits = nextWaits();
  const child = spawn('curl', ['-sS', `${url}/wait`], { stdio: 'ignore' });
  const ended = once(child, 'close');
  await waits;
  child.kill('SIGKILL');
  const [, why] = await toldGone(waiting);
  assert.match(why, /end|reset|torn down/);
  await within(ended, 'curl ends');
});

// To the server it is as if the cable had been pulled: a filter drops all that arrives at the client's socket, and nothing leaves it.
const kVanish = `
import ctypes, socket, struct, sys
client = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
client.sendall(b"GET /wait HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
sys.stdin.readline()
drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
client.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HL", 1, ctypes.addressof(drop_all)))  # SO_ATTACH_FILTER
print("vanished", flush=True)
sys.stdin.readline()`;

const cannotVanish = platform() === 'linux' ? missing('python3') : 'only Linux lets a program pull its own cable';

test('a client whose cable is pulled is named when keep-alive has no answer', { skip: cannotVanish }, async (t) => {
  const waits = nextWaits();
  const peer = spawn('python3', ['-c', kVanish, String(port)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(peer, 'close');
  await waits;
  const vanished = once(peer.stdout, 'data');
  peer.stdin.write('now\n');
  await within(vanished, 'the cable is pulled');
  const [, why, milliseconds] = await toldGone(waiting);
  t.diagnostic(`${why}, after ${milliseconds} ms`);
  assert.match(why, /deadline|timed out|timeout/);
  assert.ok(Number(milliseconds) >= 1000, 'not before it was asked');
  peer.stdin.end('done\n');
  await within(ended, 'python ends');
});

test('a tab that is closed is named at once', { skip: missing('chromium') }, async (t) => {
  const browser = await startBrowser();
  try {
    const page = await browser.context.newPage();
    const waits = nextWaits();
    await page.goto(url);
    await waits;
    const begun = performance.now();
    const closing = page.close();
    const [, why] = await toldGone(waiting);
    t.diagnostic(`noticed after ${(performance.now() - begun).toFixed(0)} ms: ${why}`);
    assert.match(why, /end|reset|torn down/);
    await closing;
  } finally {
    await browser.stop();
  }
});

test('over TLS: a client that goes is named as it went', { skip: missing('openssl', 'curl') }, async () => {
  const stage = await Stage.open();
  const { certificate, key } = stage.certificate();
  const secure = await startServer('long_poll', ['https://localhost:0', '--certificate', certificate, '--key', key], 1);
  try {
    const child = spawn('curl', ['-sS', '--cacert', certificate, `${secure.urls[0]}/wait`], { stdio: 'ignore' });
    const ended = once(child, 'close');
    await secure.said(/^#1 waits: /);
    child.kill('SIGKILL');
    const [, why] = await secure.said(/^#1 gone \((.*)\) after \d+ ms$/);
    assert.match(why, /goodbye|end|reset|torn down/);
    await within(ended, 'curl ends');
  } finally {
    assert.equal(await secure.stop(), 0);
    await stage.close();
  }
});
