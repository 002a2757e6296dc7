// Web applications against curl, Node's fetch, Python, wrk, nginx in front, and Chromium's fetch, EventSource and WebSocket; and what
// the server's handlers are told when a client goes, a tab is closed or a proxy gives up.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { bytes, freePort, missing, run, Stage, startServer, WebSocket, within } from './support.mjs';
import { startBrowser } from '../browser.mjs';

let stage, server, url;
const large = bytes(3_000_001);
const text = 'all work and no play makes a dull page\n'.repeat(500);

before(async () => {
  stage = await Stage.open();
  await stage.file('large.bin', large);
  await stage.file('page.txt', text);
  await stage.file('index.html', '<!DOCTYPE html><title>page</title><link rel="icon" href="data:,">');
  server = await startServer('web_peer', [stage.folder, 'http://127.0.0.1:0'], 1);
  url = server.urls[0];
});

after(async () => {
  assert.equal(await server?.stop(), 0);
  await stage?.close();
});

const curl = (...args) => run('curl', ['-sS', '--max-time', '30', ...args]);

// Until the server has written down that line; gives after how many milliseconds.
async function told(line) {
  const begun = performance.now();
  const look = async () => {
    while (!(await (await fetch(`${url}/told`)).text()).split('\n').includes(line)) await new Promise((done) => setTimeout(done, 5));
  };
  await within(look(), line);
  return performance.now() - begun;
}

// ---- curl

test('curl gets a file whole, in parts, and not at all where it has it', { skip: missing('curl') }, async () => {
  const whole = await curl(`${url}/files/large.bin`);
  assert.ok(whole.output.equals(large));
  const part = await curl('-r', '1000-2000000', '-D', stage.path('headers'), `${url}/files/large.bin`);
  assert.ok(part.output.equals(large.subarray(1000, 2_000_001)));
  await stage.file('resumed', large.subarray(0, 1_234_567));
  const resumed = await curl('-C', '-', '-o', stage.path('resumed'), '-w', '%{http_code}', `${url}/files/large.bin`);
  assert.equal(resumed.output.toString(), '206');
  const again = await curl('--etag-save', stage.path('etag'), '-o', '/dev/null', `${url}/files/large.bin`);
  assert.equal(again.status, 0);
  const none = await curl('--etag-compare', stage.path('etag'), '-w', '%{http_code} %{size_download}', `${url}/files/large.bin`);
  assert.equal(none.output.toString(), '304 0');
});

test('curl unfolds what is compressed, and keeps a cookie', { skip: missing('curl') }, async () => {
  const page = await curl('--compressed', '-D', stage.path('headers'), `${url}/files/page.txt`);
  assert.equal(page.output.toString(), text);
  const cookies = await curl('-b', '', `${url}/cookie`, `${url}/cookie`);
  assert.equal(cookies.output.toString(), 'nothingyes');
});

test('curl sends a form with a file, whole and in parts', { skip: missing('curl') }, async () => {
  const form = ['-F', 'text=hello', '-F', `file=@${stage.path('large.bin')};filename="a b.bin"`];
  const whole = await curl(...form, `${url}/form`);
  assert.equal(whole.output.toString(), 'text=hello\nfile=a b.bin 3000001\n');
  const parts = await curl(...form, `${url}/parts`);
  assert.equal(parts.output.toString(), 'text= 5\nfile=a b.bin 3000001\n');
});

test('a curl that is killed while it waits is told to its handler', { skip: missing('curl') }, async () => {
  const waiting = run('timeout', ['-s', 'KILL', '1', 'curl', '-sS', `${url}/wait?name=curl`]);
  await told('curl begun');
  await told('curl gone');
  await waiting;
});

// ---- Node

test('fetch of Node: a form with files, a stream, headers', async () => {
  const form = new FormData();
  form.append('text', 'wörld');
  form.append('first', new Blob([large]), 'first.bin');
  form.append('second', new Blob([]), 'empty.bin');
  const whole = await fetch(`${url}/form`, { method: 'POST', body: form });
  assert.equal(await whole.text(), 'text=wörld\nfirst=first.bin 3000001\nsecond=empty.bin 0\n');
  const parts = await fetch(`${url}/parts`, { method: 'POST', body: form });
  assert.equal(await parts.text(), 'text= 6\nfirst=first.bin 3000001\nsecond=empty.bin 0\n');
  const page = await fetch(`${url}/files/page.txt`);
  assert.equal(page.headers.get('content-encoding'), 'gzip');
  assert.equal(await page.text(), text);
});

test('fetch of Node that is aborted while it waits is told to its handler', async () => {
  const control = new AbortController();
  const waiting = fetch(`${url}/wait?name=aborted`, { signal: control.signal });
  await told('aborted begun');
  control.abort();
  await assert.rejects(waiting);
  await told('aborted gone');
});

test('a socket of Node that is reset while it waits is told to its handler', async () => {
  const request = http.get(`${url}/wait?name=reset`);
  request.on('error', () => {});
  await told('reset begun');
  request.socket.resetAndDestroy();
  await told('reset gone');
});

// ---- Python, wrk

test("Python's http.client, with a kept connection", { skip: missing('python3') }, async () => {
  const script = `
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", ${new URL(url).port})
connection.request("GET", "/files/large.bin")
assert connection.getresponse().read() == open(sys.argv[1], "rb").read()
connection.request("HEAD", "/files/large.bin")
response = connection.getresponse()
assert response.getheader("Content-Length") == "3000001" and response.read() == b""
etag = response.getheader("ETag")
connection.request("GET", "/files/large.bin", headers={"If-None-Match": etag})
response = connection.getresponse()
assert response.status == 304 and response.read() == b""
connection.request("GET", "/nothing")
response = connection.getresponse()
assert response.status == 404 and response.read() != b""
connection.request("GET", "/hello?name=Python")
assert connection.getresponse().read() == b"Hello, Python!\\n"
print("well")`;
  const { output, error } = await run('python3', ['-c', script, stage.path('large.bin')]);
  assert.equal(output.toString().trim(), 'well', error);
});

test('wrk gets pages and files, and nothing else', { skip: missing('wrk') }, async () => {
  for (const path of ['/hello', '/files/page.txt', '/files/large.bin']) {
    const { status, output } = await run('wrk', ['-t1', '-c16', '-d1s', '--timeout', '20s', `${url}${path}`]);
    assert.equal(status, 0);
    assert.match(output.toString(), /[1-9]\d* requests in/);
    assert.doesNotMatch(output.toString(), /Non-2xx|Socket errors/);
  }
});

// ---- nginx in front

async function startNginx() {
  const port = await freePort();
  const conf = await stage.file('nginx.conf', `
    daemon off; master_process off; pid ${stage.path('nginx.pid')}; error_log stderr;
    events {}
    http {
      access_log off; client_max_body_size 20m;
      client_body_temp_path ${stage.path('b')}; proxy_temp_path ${stage.path('p')}; fastcgi_temp_path ${stage.path('f')};
      uwsgi_temp_path ${stage.path('u')}; scgi_temp_path ${stage.path('s')};
      upstream twinloop { server ${new URL(url).host}; keepalive 4; }
      map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
      server {
        listen 127.0.0.1:${port};
        location / {
          proxy_pass http://twinloop; proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        }
      }
    }`);
  await stage.daemon('nginx', ['-p', stage.folder, '-c', conf], port);
  return `http://127.0.0.1:${port}`;
}

test('through an nginx in front: files, forms, events, messages, and clients that go', { skip: missing('nginx') }, async () => {
  const front = await startNginx();
  const whole = await fetch(`${front}/files/large.bin`);
  assert.ok(Buffer.from(await whole.arrayBuffer()).equals(large));
  const form = new FormData();
  form.append('file', new Blob([large]), 'large.bin');
  const parts = await fetch(`${front}/parts`, { method: 'POST', body: form });
  assert.equal(await parts.text(), 'file=large.bin 3000001\n');

  const control = new AbortController();
  const events = await fetch(`${front}/ticks?name=proxied`, { signal: control.signal });
  const { value } = await within(events.body.getReader().read(), 'the first event');
  assert.match(Buffer.from(value).toString(), /^event: tick\nid: 0\nretry: 1\ndata: proxied\ndata: 0\n\n/);
  control.abort();

  const socket = new WebSocket(`${front.replace('http:', 'ws:')}/room?name=through`);
  await within(once(socket, 'open'), 'the handshake');
  const came = once(socket, 'message');
  socket.send('hello');
  const [data] = await within(came, 'the echo');
  assert.equal(String(data), 'hello');
  socket.terminate();
  await told('through gone');

  const leaving = new AbortController();
  const waiting = fetch(`${front}/wait?name=behind`, { signal: leaving.signal });
  await told('behind begun');
  leaving.abort();
  await assert.rejects(waiting);
  await told('behind gone');
});

// ---- Chromium

test('a page in Chromium: fetch, EventSource and WebSocket, and what is told when its tab is closed', { skip: missing('chromium') }, async (t) => {
  const browser = await startBrowser();
  try {
    const page = await browser.context.newPage();
    await page.goto(`${url}/files/`);
    assert.deepEqual(await within(page.evaluate(fetchInPage, text), 'fetch'), { page: true, size: 3_000_001, part: 206, cached: 200, form: 'text=\u00e9\nfile=x 5\n' });
    assert.deepEqual(await within(page.evaluate(listenInPage), 'EventSource'), ['page 0', 'page 1', 'page 2', 'page 3', 'page 4']);
    assert.equal(await within(page.evaluate(talkInPage), 'WebSocket'), 'text bytes 4 1000');
    await told('talk finished');
    for (const name of ['fetch', 'events', 'messages']) {
      const tab = await browser.context.newPage();
      await tab.goto(`${url}/files/`);
      await tab.evaluate(waitInPage, name);
      await told(`tab-${name} begun`);
      const closing = tab.close();
      t.diagnostic(`a closed tab's ${name}: told after ${(await told(`tab-${name} gone`)).toFixed(0)} ms`);
      await closing;
    }
    assert.deepEqual(browser.complaints, []);
  } finally {
    await browser.stop();
  }
});

// These run in the page.
async function fetchInPage(text) {
  const page = await (await fetch('/files/page.txt')).text();
  const file = await (await fetch('/files/large.bin')).arrayBuffer();
  const part = await fetch('/files/large.bin', { headers: { Range: 'bytes=5-9' }, cache: 'no-store' });
  const cached = await fetch('/files/page.txt', { cache: 'no-cache' });
  const form = new FormData();
  form.append('text', '\u00e9');
  form.append('file', new Blob(['12345']), 'x');
  const sent = await fetch('/form', { method: 'POST', body: form });
  return { page: page === text, size: file.byteLength, part: part.status, cached: cached.status, form: await sent.text() };
}

async function listenInPage() {
  const source = new EventSource('/ticks?name=page');
  const heard = [];
  await new Promise((done) => {
    source.addEventListener('tick', (event) => {
      heard.push(event.data.replace('\n', ' '));
      if (heard.length === 5) done();
    });
  });
  source.close();
  return heard;
}

async function talkInPage() {
  const socket = new WebSocket(`ws://${location.host}/room?name=talk`);
  socket.binaryType = 'arraybuffer';
  await new Promise((done, fail) => ((socket.onopen = done), (socket.onerror = fail)));
  const next = () => new Promise((done) => (socket.onmessage = (event) => done(event.data)));
  const text = next();
  socket.send('text');
  const first = await text;
  const bytes = next();
  socket.send(new Uint8Array([1, 2, 3, 4]));
  const second = await bytes;
  const closed = new Promise((done) => (socket.onclose = done));
  socket.close(1000);
  return `${first} bytes ${second.byteLength} ${(await closed).code}`;
}

function waitInPage(name) {
  const where = `name=tab-${name}`;
  if (name === 'fetch') fetch(`/wait?${where}`).catch(() => {});
  if (name === 'events') globalThis.source = new EventSource(`/ticks?${where}&ends=1`);
  if (name === 'messages') globalThis.socket = new WebSocket(`ws://${location.host}/room?${where}`);
}
