// HTTP against curl, Node, Python, wrk, and nginx in front.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { all, bytes, freePort, missing, run, Stage, startServer, within } from './support.mjs';

let stage, server, url, port;

before(async () => {
  stage = await Stage.open();
  server = await startServer('http_peer', ['http://127.0.0.1:0'], 1);
  url = server.urls[0];
  port = Number(new URL(url).port);
});

after(async () => {
  assert.equal(await server?.stop(), 0);
  await stage?.close();
});

const curl = (...args) => run('curl', ['-sS', '--max-time', '30', ...args]);

// What a raw socket gets for these bytes until the server ends.
async function exchanged(request) {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(request);
  return String(await within(all(socket), 'the answers'));
}

test('curl keeps the connection alive', { skip: missing('curl') }, async () => {
  const { status, output, error } = await curl('-v', `${url}/hello`, `${url}/hello`);
  assert.equal(status, 0);
  assert.equal(output.toString(), 'Hello, World!Hello, World!');
  assert.match(error, /Re-using existing connection/);
});

test('curl sees the same headers for HEAD, and waits for no body', { skip: missing('curl') }, async () => {
  const { status, output } = await curl('-I', `${url}/hello`);
  assert.equal(status, 0);
  assert.match(output.toString(), /^HTTP\/1\.1 200 OK\r\n[^]*Content-Length: 13\r\n\r\n$/);
});

test('curl uploads with a length, chunked, and with 100-continue', { skip: missing('curl') }, async () => {
  const sent = bytes(3_000_000);
  const file = await stage.file('upload', sent);
  const length = await curl('--data-binary', `@${file}`, `${url}/echo`);
  assert.ok(length.output.equals(sent));
  const chunked = await curl('-H', 'Transfer-Encoding: chunked', '--data-binary', `@${file}`, `${url}/echo`);
  assert.ok(chunked.output.equals(sent));
  const expecting = await curl('-v', '-H', 'Expect: 100-continue', '--expect100-timeout', '20', '--data-binary', `@${file}`, `${url}/echo`);
  assert.ok(expecting.output.equals(sent));
  assert.match(expecting.error, /HTTP\/1\.1 100 Continue/);
});

test('curl is refused an upload that is too long before it sends it', { skip: missing('curl') }, async () => {
  const file = await stage.file('too-long', bytes(11_000_000));
  const { output } = await curl('-H', 'Expect: 100-continue', '-w', '%{http_code} %{size_upload}', '-o', '/dev/null',
    '--data-binary', `@${file}`, `${url}/echo`);
  assert.equal(output.toString(), '413 0');
});

test('curl decodes a chunked answer, and speaks HTTP/1.0', { skip: missing('curl') }, async () => {
  const chunked = await curl(`${url}/count?to=5`);
  assert.equal(chunked.output.toString(), '1\n2\n3\n4\n5\n');
  const old = await curl('--http1.0', `${url}/count?to=5`);
  assert.equal(old.output.toString(), '1\n2\n3\n4\n5\n');
});

test('pipelined requests over a raw socket, with an end of input behind them', async () => {
  const request = (path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const answers = await exchanged(Array.from({ length: 100 }, (_, i) => request(`/count?to=${i % 3}`)).join('') + request('/hello'));
  assert.equal(answers.match(/^HTTP\/1\.1 200 OK\r$/gm).length, 101);
  assert.match(answers, /Hello, World!$/);
});

test('a request that is none over a raw socket', async () => {
  assert.match(await exchanged('\x16\x03\x01\x02\x00'), /^HTTP\/1\.1 400 Bad Request\r\n/);
});

test('fetch of Node, many at once', async () => {
  const sent = bytes(200_000);
  const answers = Array.from({ length: 50 }, async () => {
    const response = await fetch(`${url}/echo`, { method: 'POST', body: sent });
    assert.equal(response.status, 200);
    assert.ok(Buffer.from(await response.arrayBuffer()).equals(sent));
  });
  await within(Promise.all(answers), 'all answers');
});

test('a streamed upload of Node, answered with its trailer', async () => {
  const request = http.request(`${url}/echo`, { method: 'POST', headers: { Trailer: 'Sum' } });
  request.write('one, ');
  request.write('two');
  request.addTrailers({ Sum: '8' });
  request.end();
  const [response] = await within(once(request, 'response'), 'the answer');
  assert.equal(response.headers['x-trailer-sum'], '8');
  assert.equal(String(await all(response)), 'one, two');
});

test('our trailer behind an answer, to Node', async () => {
  const [response] = await within(once(http.get(`${url}/count-with-sum`), 'response'), 'the answer');
  assert.equal(response.headers.trailer, 'Sum');
  assert.equal(String(await all(response)), '1\n2\n3\n');
  assert.deepEqual(response.trailers, { sum: '6' });
});

test('our trailer behind an answer, to curl', { skip: missing('curl') }, async () => {
  const { status, output } = await curl('-D', '-', `${url}/count-with-sum`);
  assert.equal(status, 0);
  assert.match(output.toString(), /\r\nTrailer: Sum\r\n[^]*\r\n\r\n1\n2\n3\nSum: 6\r\n$/);
});

test('our trailer behind an upload, to Node', async () => {
  const upstream = http.createServer(async (request, response) => {
    const body = String(await all(request));
    response.end(JSON.stringify({ body, announced: request.headers.trailer, trailers: request.trailers }));
  });
  await once(upstream.listen(0, '127.0.0.1'), 'listening');
  const to = encodeURIComponent(`http://127.0.0.1:${upstream.address().port}/`);
  const response = await fetch(`${url}/upload-with-sum?to=${to}`);
  assert.deepEqual(await response.json(), { body: '1\n2\n3\n', announced: 'Sum', trailers: { sum: '6' } });
  upstream.closeAllConnections();
  await once(upstream.close(), 'close');
});

test("Python's http.client, on one connection", { skip: missing('python3') }, async () => {
  const script = `
import http.client
connection = http.client.HTTPConnection("127.0.0.1", ${port})
for body in (b"x" * 100000, b"", b"last"):
    connection.request("POST", "/echo", body)
    response = connection.getresponse()
    assert response.status == 200 and response.read() == body
connection.request("POST", "/echo", iter([b"in ", b"pieces"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
assert connection.getresponse().read() == b"in pieces"
connection.request("GET", "/count?to=3")
assert connection.getresponse().read() == b"1\\n2\\n3\\n"
print("well")`;
  const { output, error } = await run('python3', ['-c', script]);
  assert.equal(output.toString().trim(), 'well', error);
});

test('wrk, with and without pipelining', { skip: missing('wrk') }, async () => {
  const lua = await stage.file('pipeline.lua', 'local r = string.rep("GET /hello HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", 16)\nrequest = function() return r end\n');
  for (const args of [[], ['-s', lua]]) {
    const { status, output } = await run('wrk', ['-t1', '-c32', '-d1s', ...args, `${url}/hello`]);
    assert.equal(status, 0);
    assert.match(output.toString(), /[1-9]\d* requests in/);
    assert.doesNotMatch(output.toString(), /Non-2xx|Socket errors/);
  }
});

test('through an nginx in front, which keeps connections to us', { skip: missing('nginx', 'curl') }, async () => {
  const front = await freePort();
  const conf = await stage.file('nginx.conf', `
    daemon off; master_process off; pid ${stage.path('nginx.pid')}; error_log stderr;
    events {}
    http {
      access_log off; client_max_body_size 20m;
      client_body_temp_path ${stage.path('b')}; proxy_temp_path ${stage.path('p')}; fastcgi_temp_path ${stage.path('f')};
      uwsgi_temp_path ${stage.path('u')}; scgi_temp_path ${stage.path('s')};
      upstream twinloop { server 127.0.0.1:${port}; keepalive 4; }
      server {
        listen 127.0.0.1:${front};
        location / {
          proxy_pass http://twinloop; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
          proxy_set_header X-Real-Ip 192.0.2.7; proxy_set_header X-Forwarded-Proto https;
        }
      }
    }`);
  await stage.daemon('nginx', ['-p', stage.folder, '-c', conf], front);
  const through = `http://127.0.0.1:${front}`;
  const sent = bytes(2_000_000);
  const file = await stage.file('through', sent);
  const echoed = await curl('--data-binary', `@${file}`, `${through}/echo`);
  assert.ok(echoed.output.equals(sent));
  const chunked = await curl('-H', 'Transfer-Encoding: chunked', '--data-binary', `@${file}`, `${through}/echo`);
  assert.ok(chunked.output.equals(sent));
  const who = await curl(`${through}/who`);
  assert.equal(who.output.toString(), '192.0.2.7 https');
  const counted = await curl(`${through}/count?to=3`, `${through}/count?to=2`);
  assert.equal(counted.output.toString(), '1\n2\n3\n1\n2\n');
});
