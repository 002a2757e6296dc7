// The example programs that no other file here runs, as somebody uses them who has just built them.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { bin, freePort, run, Stage, startServer, WebSocket, within } from './support.mjs';

let stage;

before(async () => (stage = await Stage.open()));
after(() => stage.close());

const subprocess = (...commands) => run(bin('subprocess'), commands);
const happyEyeballs = (...args) => run(bin('happy_eyeballs'), args);

async function listener(host = '127.0.0.1') {
  const server = net.createServer((socket) => socket.on('error', () => {})).listen(0, host);
  await once(server, 'listening');
  stage.atEnd(() => server.close());
  return server.address().port;
}

test('subprocess shows the lines of its commands, each with its number', async () => {
  const { status, output, error } = await subprocess('echo one; echo three', 'echo two >&2; echo four');
  assert.equal(status, 0, error);
  assert.deepEqual(String(output).trim().split('\n').sort(), ['1: one', '1: three', '2: four']);
  assert.equal(error, 'two\n');
});

// What lives on would keep their standard error open, which run() waits for.
test('the first command that fails ends the others, and what they started, and is named', async () => {
  const { status, error } = await subprocess('sleep 1000; true', 'sleep 1000 | cat', 'exit 3');
  assert.equal(status, 1);
  assert.match(error, /'exit 3' exited with status 3/);
});

test('a command that a signal ends is named with it', async () => {
  const { status, error } = await subprocess('kill -9 $$');
  assert.equal(status, 1);
  assert.match(error, /'kill -9 \$\$' was ended by signal 9/);
});

test('SIGTERM ends subprocess and its commands', async () => {
  const child = spawn(bin('subprocess'), ['echo up; exec sleep 1000'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  await within(once(child.stdout, 'data'), 'the command runs');
  child.kill('SIGTERM');
  assert.deepEqual(await within(ended, 'its end, and that of who holds its output'), [0, null]);
});

test('happy_eyeballs takes the next address at once where one refuses, and says which has answered', async () => {
  const port = await listener('127.0.0.1');
  const { status, output, error } = await happyEyeballs('--address', '127.0.0.2', '--address', '127.0.0.1', `tcp://staged:${port}`);
  assert.equal(status, 0, error);
  const answered = new RegExp(`^staged may be at 127\\.0\\.0\\.2\nstaged may be at 127\\.0\\.0\\.1\ntcp://127\\.0\\.0\\.1:${port} answered after (\\d+) ms\n$`);
  assert.match(output.toString(), answered);
});

test('happy_eyeballs asks the system where localhost is', async () => {
  const port = await listener('127.0.0.1');
  const { status, output, error } = await happyEyeballs(`tcp://localhost:${port}`);
  assert.equal(status, 0, error);
  assert.match(output.toString(), new RegExp(`^localhost may be at .*\ntcp://127\\.0\\.0\\.1:${port} answered after`, 's'));
});

test('happy_eyeballs names every address that it tried', async () => {
  const port = await freePort();
  const { status, error } = await happyEyeballs('--address', '127.0.0.2', '--address', '127.0.0.1', `tcp://staged:${port}`);
  assert.equal(status, 1);
  assert.match(error, new RegExp(`127\\.0\\.0\\.2:${port}: .*refused; 127\\.0\\.0\\.1:${port}: .*refused`));
});

// What a client is shown.
async function fingerprint(port) {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await within(once(socket, 'secureConnect'), 'the handshake');
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

test('tls_echo shows the new certificate after SIGHUP, and keeps the old one where the new one is none', async () => {
  const { certificate, key } = stage.certificate();
  const [shown, shownKey] = [stage.path('shown.pem'), stage.path('shown-key.pem')];
  const show = () => Promise.all([copyFile(certificate, shown), copyFile(key, shownKey)]);
  await show();
  const server = spawn(bin('tls_echo'), ['--certificate', shown, '--key', shownKey, 'tls://127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(server, 'close');
  const [line] = await within(once(server.stdout, 'data'), 'the server listens');
  const port = Number(/:(\d+)\n$/.exec(line)[1]);
  const first = await fingerprint(port);

  stage.certificate();
  await show();
  server.kill('SIGHUP');
  let second = await fingerprint(port);
  for (let i = 0; i < 1000 && second === first; i++) second = await fingerprint(port);
  assert.notEqual(second, first);

  await stage.file('shown.pem', 'no certificate');
  server.kill('SIGHUP');
  const [complaint] = await within(once(server.stderr, 'data'), 'the complaint');
  assert.match(String(complaint), /the certificate stays as it was: .*shown\.pem/);
  assert.equal(await fingerprint(port), second);
  server.kill('SIGTERM');
  assert.deepEqual(await within(ended, 'the server ends'), [0, null]);
});

for (const [name, args, complaint] of [
  ['subprocess', [], /COMMAND/],
  ['happy_eyeballs', ['tcp://localhost'], /which port\? Write tcp:\/\/host:port/],
  ['happy_eyeballs', ['--address', 'nonsense', 'tcp://staged:1'], /'nonsense' is no address/],
  ['tls_echo', ['--certificate', 'none.pem', '--key', 'none.pem', 'tcp://127.0.0.1:0'], /write tls:\/\/host:port/],
  ['tls_echo', ['--certificate', 'none.pem', '--key', 'none.pem', 'tls://127.0.0.1:0'], /none\.pem: No such file/],
  ['proxy', ['tls://127.0.0.1:0', 'tcp://127.0.0.1:1'], /give --certificate and --key/],
  ['proxy', ['tcp://127.0.0.1:0', 'localhost'], /'localhost': it has no scheme/],
  ['echo_server', [], /tell it where to listen/],
  ['echo_server', ['--systemd'], /systemd has handed over no sockets/],
  ['echo_server', ['--threads', '2', 'unix:/tmp/none'], /no two threads can listen there/],
]) {
  test(`${name} ${args.join(' ')}: says what is missing`, async () => {
    const { status, error } = await run(bin(name), args);
    assert.ok(status === 1 || status === 2, `status ${status}`);
    assert.match(error, complaint);
  });
}

test('proxy says which of its connections failed, and serves on', async () => {
  const gone = await freePort();
  const proxy = spawn(bin('proxy'), ['tcp://127.0.0.1:0', `tcp://127.0.0.1:${gone}`], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(proxy, 'close');
  const [line] = await within(once(proxy.stdout, 'data'), 'the proxy listens');
  const port = Number(/:(\d+)\n$/.exec(line)[1]);
  for (let i = 0; i < 2; i++) {
    const complained = once(proxy.stderr, 'data');
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    const closed = once(socket, 'close');
    assert.match(String((await within(complained, 'the complaint'))[0]), new RegExp(`127\\.0\\.0\\.1:${gone}: .*refused`));
    await within(closed, 'the end of the client');
  }
  proxy.kill('SIGTERM');
  assert.deepEqual(await within(ended, 'the proxy ends'), [0, null]);
});

// Those that this build has and this machine can run, as the program says itself.
const kBackends = execFileSync(bin('hello_http'), ['--help'], { encoding: 'utf8' })
  .match(/event loop to run on: ([\w, -]+)/)[1].split(',').map((name) => name.trim()).filter(Boolean);

test('the programs of examples/ run on select at least', () => assert.ok(kBackends.includes('select'), kBackends.join()));

function get(url) {
  return new Promise((done, fail) => {
    const request = http.get(url, { agent: false }, async (response) => {
      let body = '';
      for await (const piece of response) body += piece;
      done({ status: response.statusCode, headers: response.headers, body });
    });
    request.on('error', fail);
  });
}

for (const backend of kBackends) {
  test(`hello_http --backend ${backend} --threads 2 answers every connection, and SIGTERM ends it well`, async () => {
    const server = await startServer('hello_http', ['--backend', backend, '--threads', '2', '0'], 1);
    const answers = await within(Promise.all(Array.from({ length: 20 }, () => get(server.urls[0]))), 'the answers');
    for (const { status, headers, body } of answers) {
      assert.equal(status, 200);
      assert.equal(body, 'Hello, World!');
      assert.equal(headers['content-type'], 'text/plain');
      assert.equal(headers['content-length'], '13');
      assert.equal(headers.server, 'twinloop');
      assert.ok(Math.abs(Date.parse(headers.date) - Date.now()) < 60_000, headers.date);
    }
    assert.equal(await server.stop(), 0);
  });
}

// A few descriptors are enough for the first loops, not for all.
test('hello_http says why a thread of it cannot serve', async () => {
  const { status, error } = await run('/bin/sh', ['-c', 'ulimit -n 24; exec "$0" --threads 100 0', bin('hello_http')]);
  assert.equal(status, 1, error);
  assert.match(error, /no file descriptor is available/);
});

for (const backend of kBackends.filter((name) => name !== 'epoll')) {
  test(`ws_echo --backend ${backend} sends messages back, and SIGTERM ends it well`, async () => {
    const server = await startServer('ws_echo', ['--backend', backend, '0'], 1);
    const socket = new WebSocket(server.urls[0]);
    await within(once(socket, 'open'), 'the handshake');
    for (const message of ['hello', 'x'.repeat(200_000)]) {
      const came = once(socket, 'message');
      socket.send(message);
      assert.equal(String((await within(came, 'the echo'))[0]), message);
    }
    const closed = once(socket, 'close');
    socket.close(1000);
    assert.equal((await within(closed, 'the close handshake'))[0], 1000);
    assert.equal(await server.stop(), 0);
  });
}
