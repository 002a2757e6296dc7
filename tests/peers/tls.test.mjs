// TLS against nginx, curl, socat and Node's tls.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { all, bytes, freePort, missing, run, runNative, Stage, startServer, within } from './support.mjs';

let stage, pem, server, echo, ca, page, nginxPort, nginxTlsPort;

before(async () => {
  stage = await Stage.open();
  pem = stage.certificate();
  ca = await readFile(pem.certificate);
  server = await startServer('tls_echo', ['--certificate', pem.certificate, '--key', pem.key, 'tls://127.0.0.1:0'], 1);
  echo = new URL(server.urls[0].replace('tls:', 'https:'));
  if (!missing('nginx')) await startNginx();
});

after(async () => {
  assert.equal(await server?.stop(), 0);
  await stage?.close();
});

async function startNginx() {
  [nginxPort, nginxTlsPort] = [await freePort(), await freePort()];
  page = bytes(10_000_000);
  await stage.file('page.bin', page);
  const conf = await stage.file('nginx.conf', `
    daemon off; master_process off; pid ${stage.path('nginx.pid')}; error_log stderr;
    events {}
    http {
      access_log off;
      client_body_temp_path ${stage.path('b')}; proxy_temp_path ${stage.path('p')}; fastcgi_temp_path ${stage.path('f')};
      uwsgi_temp_path ${stage.path('u')}; scgi_temp_path ${stage.path('s')};
      server { listen 127.0.0.1:${nginxPort}; root ${stage.folder}; }
      server {
        listen 127.0.0.1:${nginxTlsPort} ssl; root ${stage.folder};
        ssl_certificate ${pem.certificate}; ssl_certificate_key ${pem.key};
      }
    }`);
  await stage.daemon('nginx', ['-p', stage.folder, '-c', conf], nginxPort);
}

test("a client of Node's verifies us, and its half-close ends the echo", async () => {
  const sent = bytes(1_000_000);
  const socket = tls.connect({ port: Number(echo.port), host: 'localhost', ca, allowHalfOpen: true });
  await within(once(socket, 'secureConnect'), 'the handshake');
  assert.ok(socket.authorized);
  assert.equal(socket.getProtocol(), 'TLSv1.3');
  socket.end(sent);
  assert.ok((await within(all(socket), 'the echo')).equals(sent));
});

test('a client that speaks TLS 1.2 only is served, one with TLS 1.1 is not', async () => {
  const socket = tls.connect({ port: Number(echo.port), host: 'localhost', ca, maxVersion: 'TLSv1.2', allowHalfOpen: true });
  socket.end('old');
  assert.equal(String(await within(all(socket), 'the echo')), 'old');
  assert.equal(socket.getProtocol() ?? 'TLSv1.2', 'TLSv1.2');

  const older = tls.connect({ port: Number(echo.port), host: 'localhost', ca, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0' });
  const [error] = await within(once(older, 'error'), 'the refusal');
  assert.match(error.code ?? error.message, /ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|ECONNRESET|NO_PROTOCOLS_AVAILABLE/);
});

test("stream_cat to a server of Node's: greeting, echo, close_notify", async () => {
  const peer = tls.createServer({ cert: ca, key: await readFile(pem.key), allowHalfOpen: true }, (socket) => {
    socket.write('welcome\n');
    socket.pipe(socket);
  });
  peer.listen(0, '127.0.0.1');
  await once(peer, 'listening');
  const url = `tls://localhost:${peer.address().port}`;
  const trusted = await runNative('stream_cat', [url], 'a line\n', { env: { SSL_CERT_FILE: pem.certificate } });
  const untrusted = await runNative('stream_cat', [url], 'a secret\n', { env: { SSL_CERT_FILE: '/dev/null' } });
  peer.close();
  assert.equal(trusted.status, 0, trusted.error);
  assert.equal(trusted.output, 'welcome\na line\n');
  assert.equal(untrusted.status, 1);
  assert.equal(untrusted.output, '');
  assert.match(untrusted.error, /self.signed certificate/);
});

test('socat over TLS gets back what it sends', { skip: missing('socat') }, async () => {
  const sent = bytes(500_000);
  const { output } = await run('socat', ['-t', '30', '-', `OPENSSL:localhost:${echo.port},cafile=${pem.certificate}`], sent);
  assert.ok(output.equals(sent));
});

// Its input stays open until the echo is there: at its end s_client would leave at once.
test('s_client verifies us and gets back what it sends', async () => {
  const child = spawn('openssl', ['s_client', '-quiet', '-connect', echo.host, '-servername', 'localhost', '-verify_hostname', 'localhost',
    '-CAfile', pem.certificate, '-verify_return_error'], { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = once(child, 'close');
  const sent = 'line of text\n'.repeat(20_000);
  child.stdin.write(sent);
  let got = '';
  await within(new Promise((done) => child.stdout.on('data', (chunk) => (got += chunk).length >= sent.length && done())), 'the echo');
  assert.equal(got, sent);
  child.kill('SIGTERM');
  await within(ended, 's_client ends');
});

for (const version of ['-tls1_2', '-tls1_3']) {
  test(`s_server (${version}) answers stream_cat, and takes its half-close for the end`, async () => {
    const port = await freePort();
    await stage.daemon('openssl', ['s_server', '-quiet', '-rev', version, '-accept', `127.0.0.1:${port}`, '-cert', pem.certificate,
      '-key', pem.key], port);
    const { status, output, error } = await runNative('stream_cat', [`tls://localhost:${port}`], 'stressed\nlived\n',
      { env: { SSL_CERT_FILE: pem.certificate } });
    assert.equal(status, 0, error);
    assert.equal(output, 'desserts\ndevil\n');
  });
}

// Its input is held open: nginx takes a client's close_notify for its leaving.
test('nginx answers stream_cat over TLS', { skip: missing('nginx') }, async () => {
  const request = 'GET /page.bin HTTP/1.1\r\nHost: localhost\r\nRange: bytes=0-9\r\nConnection: close\r\n\r\n';
  const { status, output, error } = await runNative('stream_cat', [`tls://localhost:${nginxTlsPort}`], request,
    { env: { SSL_CERT_FILE: pem.certificate }, hold: true });
  assert.equal(status, 0, error);
  assert.match(output, /^HTTP\/1\.1 206 Partial Content\r\n/);
});

test('curl gets 10 MB from nginx through a proxy that adds TLS', { skip: missing('nginx', 'curl') }, async () => {
  const proxy = await startServer('proxy',
    ['--certificate', pem.certificate, '--key', pem.key, 'tls://127.0.0.1:0', `tcp://127.0.0.1:${nginxPort}`], 1);
  const url = `${proxy.urls[0].replace('tls://127.0.0.1', 'https://localhost')}/page.bin`;
  const { status, output, error } = await run('curl', ['-sS', '--max-time', '50', '--cacert', pem.certificate, url]);
  assert.equal(status, 0, error);
  assert.ok(output.equals(page));
  assert.equal(await proxy.stop(), 0);
});

test('curl gets 10 MB from an nginx with TLS through a proxy that takes it off', { skip: missing('nginx', 'curl') }, async () => {
  const proxy = await startServer('proxy',
    ['--authority', pem.certificate, 'tcp://127.0.0.1:0', `tls://localhost:${nginxTlsPort}`], 1);
  const url = `${proxy.urls[0].replace('tcp:', 'http:')}/page.bin`;
  const { status, output, error } = await run('curl', ['-sS', '--max-time', '50', url]);
  assert.equal(status, 0, error);
  assert.ok(output.equals(page));
  assert.equal(await proxy.stop(), 0);
});
