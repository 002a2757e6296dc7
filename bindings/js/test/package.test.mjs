// The packed package in Node, against our own server and against one that misbehaves.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { here, installPackage, run, startEcho } from './support.mjs';

let installed, echo, twinloop, rogue, rogueUrl, behave;
const openStream = () => twinloop.connect(echo.url);
const text = (bytes) => new TextDecoder().decode(bytes);

before(async () => {
  installed = await installPackage();
  echo = await startEcho();
  twinloop = await installed.load('node.js');
  rogue = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(rogue, 'listening');
  rogue.on('connection', (socket) => behave(socket));
  rogueUrl = `ws://127.0.0.1:${rogue.address().port}/`;
});

after(async () => {
  rogue?.close();
  await echo?.stop();
  await installed?.remove();
});

const fails = (promise, code) => assert.rejects(promise, (error) => {
  assert.equal(error.code, code, error.message);
  assert.ok(error instanceof twinloop.TwinloopError);
  return true;
});

test('without a WebSocket the error says what to pass', { skip: globalThis.WebSocket ? 'this Node has one' : false }, async () => {
  await writeFile(join(installed.folder, 'none.mjs'), `
    import { connect, UnsupportedError } from 'twinloop';
    await connect('${echo.url}').catch((error) => console.log(error instanceof UnsupportedError, error.code, error.message));`);
  const { stdout } = await run(process.execPath, ['none.mjs'], { cwd: installed.folder });
  assert.match(stdout, /^true not_supported .*`ws`/);
});

test('a wasm that is not there is an error with the address that was tried', async () => {
  await assert.rejects(twinloop.init({ wasm: new URL('file:///nowhere/module.wasm') }), /nowhere\/module\.wasm/);
  await twinloop.init({ WebSocket });  // and a failed init can be tried again
});

test('the tarball holds what a user needs and nothing else', () => {
  const dist = ['errors', 'index', 'node', 'program', 'runtime'].flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]);
  assert.deepEqual(installed.files, ['LICENSE', 'README.md', 'package.json', 'dist/module.js', 'dist/module.wasm', ...dist].sort());
});

test('readUntil, readBytes and readSome end where they should', async () => {
  const fresh = await openStream();
  await fresh.write('line\r\n12345rest');
  assert.equal(text(await fresh.readUntil('\r\n')), 'line\r\n');
  assert.equal(text(await fresh.readBytes(5)), '12345');
  assert.equal(text(await fresh.readSome()), 'rest');
  fresh.close();
  assert.equal(await fresh.closed, 'local');
});

test('ten megabytes come back unchanged', async () => {
  const stream = await openStream();
  const bytes = randomBytes(10_000_000);
  const sending = (async () => {
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(Math.random() * 50_000);
      await stream.write(bytes.subarray(at, at + size));
      at += size;
    }
  })();
  const hash = createHash('sha256');
  for (let received = 0; received < bytes.length; ) {
    const chunk = await stream.readSome();
    received += chunk.length;
    hash.update(chunk);
  }
  await sending;
  assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
  stream.close();
});

test('an aborted read loses no byte', async () => {
  const stream = await openStream();
  const abort = new AbortController();
  const read = stream.readUntil('\n', { signal: abort.signal });
  await stream.write('half');
  abort.abort();
  await assert.rejects(read, { name: 'AbortError' });
  await stream.write(' a line\n');
  assert.equal(text(await stream.readUntil('\n')), 'half a line\n');
  stream.close();
});

test('a second read while one is pending is busy', async () => {
  const stream = await openStream();
  const first = stream.readBytes(1);
  await fails(stream.readBytes(1), 'busy');
  await stream.write('x');
  assert.equal(text(await first), 'x');
  stream.close();
});

test('lines() ends with the peer and gives the last line', async () => {
  behave = (socket) => {
    socket.send(Buffer.from('one\ntw'));
    socket.send(Buffer.from('o\r\nlast'));
    socket.close(1000);
  };
  const stream = await twinloop.connect(rogueUrl);
  const lines = [];
  for await (const line of stream.lines()) lines.push(line);
  assert.deepEqual(lines, ['one', 'two', 'last']);
  assert.equal(await stream.closed, 'end');
});

test('iterating over chunks ends with the peer', async () => {
  behave = (socket) => {
    socket.send(Buffer.from('abc'));
    socket.close(1001);
  };
  let all = '';
  for await (const chunk of await twinloop.connect(rogueUrl)) all += text(chunk);
  assert.equal(all, 'abc');
});

test('each way a connection goes wrong has its code', async () => {
  const cases = [
    ['a text message', 'protocol', (socket) => socket.send('text')],
    ['a protocol error of ours', 'protocol', (socket) => socket.close(1002)],
    ['a connection that is cut', 'truncated', (socket) => socket.terminate()],
    ['a server that says 4000', 'reset', (socket) => socket.close(4000)],
    ['more than may be held', 'overflow', (socket) => socket.send(Buffer.alloc(20_000))],
  ];
  for (const [what, code, how] of cases) {
    behave = how;
    const stream = await twinloop.connect(rogueUrl, { maxBufferSize: 10_000 });
    await assert.rejects(stream.readUntil('\n'), (error) => {
      assert.ok(error instanceof twinloop.StreamClosedError, what);
      assert.equal(error.code, code, what);
      return true;
    });
  }
});

test('a delimiter that does not come closes the stream at maxBytes', async () => {
  const stream = await openStream();
  await stream.write('x'.repeat(100));
  await assert.rejects(stream.readUntil('\n', { maxBytes: 50 }), { code: 'unsatisfiable_read' });
});

test('connecting fails with a reason and the URL', async () => {
  await assert.rejects(twinloop.connect('ws://127.0.0.1:1/'), (error) => {
    assert.equal(error.code, 'refused');
    assert.match(error.message, /ws:\/\/127\.0\.0\.1:1\//);
    return true;
  });
  await assert.rejects(twinloop.connect('nonsense'), { code: 'invalid_url' });
  await assert.rejects(twinloop.connect('tcp://127.0.0.1:1/'), { code: 'unknown_scheme' });
});

test('the types are right for a strict project', async () => {
  const consumer = `
    import { connect, StreamClosedError, type IOStream } from 'twinloop';
    import { runProgram } from 'twinloop/program';
    export async function first(url: string, signal: AbortSignal): Promise<string> {
      const stream: IOStream = await connect(url, { signal, protocols: ['a'], timeout: 1000 });
      try {
        const bytes: Uint8Array<ArrayBuffer> = await stream.readUntil('\\n', { maxBytes: 10, signal });
        for await (const line of stream.lines()) return line;
        return String(bytes.length);
      } catch (error) {
        if (error instanceof StreamClosedError && error.code === 'end') return '';
        throw error;
      } finally {
        stream.close();
      }
    }
    export const status: Promise<number> = runProgram('./x.mjs', { wasm: new Uint8Array() }).then((program) => program.exited);
    // @ts-expect-error the code of an error is one of the known words
    export const wrong = (error: StreamClosedError): boolean => error.code === 'nonsense';
  `;
  await writeFile(join(installed.folder, 'consumer.ts'), consumer);
  const tsc = join(here, 'node_modules/typescript/bin/tsc');
  for (const resolution of ['bundler', 'nodenext']) {
    const module = resolution === 'bundler' ? 'esnext' : 'nodenext';
    const args = [tsc, '--noEmit', '--strict', '--target', 'es2022', '--lib', 'es2022,dom,dom.iterable',
      '--module', module, '--moduleResolution', resolution, 'consumer.ts'];
    await run(process.execPath, args, { cwd: installed.folder }).catch((error) => assert.fail(`${resolution}: ${error.stdout}`));
  }
});

test("the README's example for Node runs as it stands", async () => {
  const readme = await readFile(join(here, 'README.md'), 'utf8');
  const blocks = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map((match) => match[1]);
  assert.equal(blocks.length, 2);
  await writeFile(join(installed.folder, 'node.mjs'), blocks[1]);
  const { stdout } = await run(process.execPath, ['node.mjs', echo.url], { cwd: installed.folder });
  assert.equal(stdout, 'one\n\n');
});

test("the README's example for a page runs, with our own server in place of example.org", async () => {
  behave = (socket) => socket.on('message', (data) => {
    socket.send(data);
    socket.close(1000);
  });
  const readme = await readFile(join(here, 'README.md'), 'utf8');
  const block = /```js\n([\s\S]*?)```/.exec(readme)[1].replace('wss://example.org/lines', rogueUrl);
  const script = `import WebSocket from 'ws';\nglobalThis.WebSocket = WebSocket;\n${block}`;
  await writeFile(join(installed.folder, 'page.mjs'), script);
  const { stdout } = await run(process.execPath, ['page.mjs'], { cwd: installed.folder });
  assert.equal(stdout, 'hello\n');
});
