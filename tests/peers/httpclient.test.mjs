// AsyncHTTPClient, by the program http_get, against servers that others have written: nginx, Node's http and https, Python's.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { all, bytes, freePort, missing, run, runNative, Stage, startServer, within } from './support.mjs';

let stage, pem, nginx, nginxTls, nginxStrict;

const get = (args, options) => runNative('http_get', args, '', options);
const text = 'all work and no play makes a dull client\n'.repeat(20_000);

before(async () => {
  stage = await Stage.open();
  pem = stage.certificate();
  await stage.file('page.txt', text);
  if (!missing('nginx')) await startNginx();
});

after(() => stage?.close());

async function startNginx() {
  const [port, tlsPort, strictPort] = [await freePort(), await freePort(), await freePort()];
  const conf = await stage.file('nginx.conf', `
    daemon off; master_process off; pid ${stage.path('nginx.pid')}; error_log stderr;
    events {}
    http {
      access_log off; types { text/plain txt; } gzip on; gzip_types text/plain; keepalive_requests 1000;
      client_body_temp_path ${stage.path('b')}; proxy_temp_path ${stage.path('p')}; fastcgi_temp_path ${stage.path('f')};
      uwsgi_temp_path ${stage.path('u')}; scgi_temp_path ${stage.path('s')};
      server {
        listen 127.0.0.1:${port}; root ${stage.folder};
        location = /connection { return 200 "connection $connection request $connection_requests"; }
        location = /moved { return 301 /page.txt; }
        location = /close { keepalive_timeout 0; return 200 "connection $connection"; }
      }
      server {
        listen 127.0.0.1:${tlsPort} ssl; root ${stage.folder};
        ssl_certificate ${pem.certificate}; ssl_certificate_key ${pem.key};
        location = /connection { return 200 "connection $connection request $connection_requests"; }
      }
      server {
        listen 127.0.0.1:${strictPort} ssl; root ${stage.folder};
        ssl_certificate ${pem.certificate}; ssl_certificate_key ${pem.key};
        ssl_client_certificate ${pem.certificate}; ssl_verify_client on;
      }
    }`);
  await stage.daemon('nginx', ['-p', stage.folder, '-c', conf], port);
  [nginx, nginxTls, nginxStrict] = [port, tlsPort, strictPort].map((each, i) => `http${i > 0 ? 's' : ''}://${i > 0 ? 'localhost' : '127.0.0.1'}:${each}`);
}

const bodies = (output) => output.split(/^200 .*\n(?:.+\n)*\n/m).slice(1).map((body) => body.trimEnd());

test('nginx answers several requests over one connection', { skip: missing('nginx') }, async () => {
  const { status, output } = await get([`${nginx}/connection`, `${nginx}/connection`, `${nginx}/connection`]);
  assert.equal(status, 0);
  const answers = bodies(output);
  const [, connection] = /connection (\d+) request 1$/.exec(answers[0]);
  assert.deepEqual(answers.slice(1), [`connection ${connection} request 2`, `connection ${connection} request 3`]);
});

test('nginx compresses, closes, redirects: the page is the page', { skip: missing('nginx') }, async () => {
  const { status, output } = await get([`${nginx}/page.txt`, `${nginx}/moved`, `${nginx}/close`, `${nginx}/close`]);
  assert.equal(status, 0);
  assert.match(output, /^X-Consumed-Content-Encoding: gzip$/m);
  const answers = bodies(output);
  assert.equal(answers[0], text.trimEnd());
  assert.equal(answers[1], text.trimEnd());
  assert.notEqual(answers[2], answers[3]);
});

test('nginx over TLS: one connection, and none to a stranger', { skip: missing('nginx') }, async () => {
  const trusting = { env: { SSL_CERT_FILE: pem.certificate } };
  const { status, output } = await get([`${nginxTls}/connection`, `${nginxTls}/connection`], trusting);
  assert.equal(status, 0, output);
  assert.match(bodies(output)[1], /request 2$/);
  const stranger = await get([`${nginxTls}/connection`], { env: { SSL_CERT_FILE: '/dev/null' } });
  assert.equal(stranger.status, 1);
  assert.match(stranger.output, /^http_get: GET https:\/\/localhost:\d+\/connection: .*certificate/);
});

async function withNode(handler, use, secure) {
  const server = secure ? https.createServer(secure, handler) : http.createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use(`${secure ? 'https' : 'http'}://localhost:${server.address().port}`, server);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

test('our proxy in front of an nginx: whole files, kept connections, and the one that nginx closes', { skip: missing('nginx', 'curl') }, async () => {
  const upstream = new URL(nginx).host;
  const proxy = await startServer('proxy', ['tcp://127.0.0.1:0', `tcp://${upstream}`], 1);
  const through = proxy.urls[0].replace('tcp:', 'http:');
  const { status, output } = await get([`${through}/connection`, `${through}/connection`, `${through}/page.txt`, `${through}/close`]);
  assert.equal(status, 0);
  const answers = bodies(output);
  assert.match(answers[1], /request 2$/);
  assert.equal(answers[2], text.trimEnd());
  const fetched = await run('curl', ['-sS', '--max-time', '30', `${through}/page.txt`, `${through}/page.txt`]);
  assert.equal(fetched.output.toString(), text + text);
  assert.equal(await proxy.stop(), 0);
});

test('wrk through our proxy to an nginx: every answer is one', { skip: missing('nginx', 'wrk') }, async () => {
  const proxy = await startServer('proxy', ['tcp://127.0.0.1:0', `tcp://${new URL(nginx).host}`], 1);
  const { status, output } = await run('wrk', ['-t1', '-c16', '-d1s', `${proxy.urls[0].replace('tcp:', 'http:')}/connection`]);
  assert.equal(status, 0);
  assert.match(output.toString(), /[1-9]\d* requests in/);
  assert.doesNotMatch(output.toString(), /Non-2xx|Socket errors/);
  assert.equal(await proxy.stop(), 0);
});

test('nginx that wants a certificate of its clients refuses who has none', { skip: missing('nginx') }, async () => {
  const { status, output } = await get([`${nginxStrict}/connection`], { env: { SSL_CERT_FILE: pem.certificate } });
  assert.equal(status, 0, output);
  assert.match(output, /^400 Bad Request$/m);
});

test("Node's http gets method, headers and body, and answers in chunks with a trailer", () =>
  withNode(
    async (request, response) => {
      const body = String(await all(request));
      response.writeHead(200, { Trailer: 'X-Sum' });
      for (const piece of [request.method, ' ', request.headers['user-agent'], ' ', body]) response.write(piece);
      response.addTrailers({ 'X-Sum': '1' });
      response.end();
    },
    async (url) => {
      const { output } = await get(['-X', 'PUT', '-d', 'the body', `${url}/x`]);
      assert.match(output, /\n\nPUT twinloop the body\n$/);
    },
  ));

test("Node's https with a body of five megabytes, and keep-alive", async () => {
  const page = bytes(5_000_000).toString('base64');
  const sockets = new Set();
  const keys = { cert: await readFile(pem.certificate), key: await readFile(pem.key) };
  const answer = (request, response) => (sockets.add(request.socket), response.end(page));
  await withNode(answer, async (url) => {
    const { status, output } = await get([url, url], { env: { SSL_CERT_FILE: pem.certificate } });
    assert.equal(status, 0);
    assert.ok(bodies(output).every((body) => body === page), 'the same bytes');
    assert.equal(sockets.size, 1);
  }, keys);
});

test('a server of Node that closes what it kept: the next request goes over a new connection', () =>
  withNode(
    (request, response) => {
      response.end('once');
      response.once('finish', () => setImmediate(() => request.socket.destroy()));
    },
    async (url) => {
      const { status, output } = await get([url, url, url]);
      assert.equal(status, 0, output);
      assert.deepEqual(bodies(output), ['once', 'once', 'once']);
    },
  ));

test("a CONNECT proxy of Node's carries https", async () => {
  const asked = [];
  const proxy = http.createServer();
  proxy.on('connect', (request, client) => {
    asked.push(request.url);
    const server = net.connect(Number(request.url.split(':')[1]), '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(server).pipe(client);
    });
    for (const socket of [client, server]) socket.on('error', () => {});
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const keys = { cert: await readFile(pem.certificate), key: await readFile(pem.key) };
  await withNode((request, response) => response.end('hidden'), async (url) => {
    const args = ['-x', `http://127.0.0.1:${proxy.address().port}`, `${url}/secret`];
    const { status, output } = await get(args, { env: { SSL_CERT_FILE: pem.certificate } });
    assert.equal(status, 0, output);
    assert.deepEqual(bodies(output), ['hidden']);
    assert.deepEqual(asked, [new URL(url).host]);
  }, keys);
  proxy.close();
  proxy.closeAllConnections();
});

test("Python's http.server, which speaks HTTP/1.0 and closes", { skip: missing('python3') }, async () => {
  const server = spawn('python3', ['-u', '-m', 'http.server', '0', '--bind', '127.0.0.1', '--directory', stage.folder], { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(server, 'close');
  let said = '';
  const listening = new Promise((done) => server.stdout.on('data', (chunk) => /port \d+/.test((said += chunk)) && done()));
  try {
    await within(listening, 'http.server listens');
    const url = `http://127.0.0.1:${/port (\d+)/.exec(said)[1]}`;
    const { status, output } = await get([`${url}/page.txt`, `${url}/nothing`]);
    assert.equal(status, 0);
    assert.equal(bodies(output)[0].slice(0, text.length - 1), text.trimEnd());
    assert.match(output, /^404 File not found$/m);
  } finally {
    server.kill();
    await within(ended, 'http.server ends');
  }
});

test('what goes wrong is one line with the URL and the reason', async () => {
  const { status, output } = await get(['http://127.0.0.1:1/x', 'http://nowhere.invalid/', 'gopher://x/']);
  assert.equal(status, 1);
  const lines = output.trimEnd().split('\n');
  assert.match(lines[0], /^http_get: GET http:\/\/127\.0\.0\.1:1\/x: connect tcp:\/\/127\.0\.0\.1:1: .*refused$/);
  assert.match(lines[1], /^http_get: GET http:\/\/nowhere\.invalid\/: .*no address/);
  assert.match(lines[2], /only http and https are fetched/);
});
