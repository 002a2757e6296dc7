// The packed package in Node, against our own server and against one that misbehaves.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { brotliCompressSync } from 'node:zlib';
import { WebSocket, WebSocketServer } from 'ws';
import { here, installPackage, kTrap, run, startEcho } from './support.mjs';

let installed, echo, twinloop, rogue, rogueUrl, behave, deaf, deafUrl;
const openStream = () => twinloop.connect(echo.url);
const text = (bytes) => new TextDecoder().decode(bytes);

before(async () => {
  installed = await installPackage();
  echo = await startEcho();
  twinloop = await installed.load('node.js');
  rogue = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(rogue, 'listening');
  rogue.on('connection', (socket) => behave(socket));
  deaf = createServer().listen(0, '127.0.0.1');  // accepts connections and never says a word
  await once(deaf, 'listening');
  deafUrl = `ws://127.0.0.1:${deaf.address().port}/`;
  rogueUrl = `ws://127.0.0.1:${rogue.address().port}/`;
});

after(async () => {
  rogue?.close();
  deaf?.close();
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

test('a module that traps fails whatever waits and whatever is asked of it later, and the next connect loads another', async () => {
  await writeFile(join(installed.folder, 'trap.mjs'), `
    import WebSocket from 'ws';
    ${kTrap}
    const { connect, init } = await import('twinloop');
    await init({ WebSocket });
    const stream = await connect(process.argv[2], { WebSocket });
    const waits = stream.readSome();
    trap = true;
    const told = await Promise.allSettled([waits, stream.write('x'), stream.readSome()]);
    for (const { reason } of told) console.log(reason.name, reason.code, /unreachable/.test(reason.message));
    stream.close();
    trap = false;
    const next = await connect(process.argv[2], { WebSocket });
    await next.write('again\\n');
    console.log(new TextDecoder().decode(await next.readUntil('\\n')));
    next.close();
    process.exit();`);
  const { stdout } = await run(process.execPath, ['trap.mjs', echo.url], { cwd: installed.folder });
  assert.equal(stdout, 'StreamClosedError loop_closed true\n'.repeat(3) + 'again\n\n');
});

test('the tarball holds what a user needs and nothing else', () => {
  const dist = ['errors', 'index', 'node', 'program', 'program-node', 'runtime', 'wasm'].flatMap((name) => [`dist/${name}.d.ts`, `dist/${name}.js`]);
  assert.deepEqual(installed.files, ['LICENSE', 'README.md', 'package.json', 'dist/module.js', 'dist/module.wasm', ...dist].sort());
});

test('readUntil, readBytes and readSome end where they should', async () => {
  const fresh = await openStream();
  await fresh.write('line\r\n12345rest');
  assert.equal(text(await fresh.readUntil('\r\n')), 'line\r\n');
  assert.equal(text(await fresh.readBytes(5)), '12345');
  assert.equal(text(await fresh.readSome()), 'rest');
  fresh.close();
  assert.deepEqual(await fresh.closed, { reason: 'local', closeCode: undefined, closeReason: undefined });
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
  assert.deepEqual(await stream.closed, { reason: 'end', closeCode: 1000, closeReason: '' });
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

test('each way a connection goes wrong has its code and names the close code', async () => {
  const cases = [
    ['a text message', 'protocol', 1003, (socket) => socket.send('text')],
    ['a protocol error of ours', 'protocol', 1002, (socket) => socket.close(1002)],
    ['a connection that is cut', 'truncated', 1006, (socket) => socket.terminate()],
    ['a server that says 4000', 'reset', 4000, (socket) => socket.close(4000, 'out of cheese')],
    ['more than may be held', 'overflow', 3009, (socket) => socket.send(Buffer.alloc(20_000))],
    ['bytes that are no WebSocket frame', 'truncated', 1006, (socket) => socket._socket.write('garbage, not a frame')],
  ];
  for (const [what, code, closeCode, how] of cases) {
    behave = how;
    const stream = await twinloop.connect(rogueUrl, { maxBufferSize: 10_000 });
    await assert.rejects(stream.readUntil('\n'), (error) => {
      assert.ok(error instanceof twinloop.StreamClosedError, what);
      assert.equal(error.code, code, what);
      assert.equal(error.closeCode, closeCode, what);
      assert.ok(error.message.includes(rogueUrl) && error.message.includes(`close code ${closeCode}`), error.message);
      if (closeCode === 1006) assert.match(error.message, /usual causes/);
      if (closeCode === 4000) assert.match(error.message, /out of cheese/);
      return true;
    });
    assert.equal((await stream.closed).closeCode, closeCode, what);
  }
});

test('what came before a failure can still be read', async () => {
  behave = (socket) => {
    socket.send(Buffer.alloc(6_000, 'a'));
    socket.send(Buffer.alloc(6_000, 'b'));
  };
  const stream = await twinloop.connect(rogueUrl, { maxBufferSize: 10_000 });
  assert.equal((await stream.closed).reason, 'overflow');
  assert.equal(text(await stream.readBytes(6_000)), 'a'.repeat(6_000));
  await fails(stream.readBytes(1), 'overflow');
});

test('maxBufferSize bounds what waits in the stream and in the host together', { timeout: 20_000 }, async () => {
  behave = (socket) => {
    socket.send(Buffer.from(`line\n${'a'.repeat(8_000)}`));  // of one piece: the stream has it all
    socket.on('message', () => socket.send(Buffer.alloc(8_000, 'b')));
  };
  const stream = await twinloop.connect(rogueUrl, { maxBufferSize: 10_000 });
  assert.equal(text(await stream.readUntil('\n')), 'line\n');
  await stream.write('more');
  assert.equal((await stream.closed).reason, 'overflow');
  assert.equal(text(await stream.readBytes(8_000)), 'a'.repeat(8_000));
});

test('the server hears 3009 on overflow, 3003 on text, 1000 on close and 3001 on abort', async () => {
  const codes = [];
  for (const end of [
    (socket) => socket.send(Buffer.alloc(20_000)),
    (socket) => socket.send('text'),
    (_, stream) => stream.close(),
    (_, stream) => stream.abort(),
  ]) {
    let peer;
    behave = (socket) => (peer = socket);
    const stream = await twinloop.connect(rogueUrl, { maxBufferSize: 10_000 });
    const closed = once(peer, 'close');
    end(peer, stream);
    codes.push((await closed)[0]);
    stream.close();
  }
  assert.deepEqual(codes, [3009, 3003, 1000, 3001]);
});

test('an empty message means nothing without the subprotocol twinloop.stream', async () => {
  behave = (socket) => {
    socket.send(Buffer.alloc(0));
    socket.send(Buffer.from('still here\n'));
  };
  const stream = await twinloop.connect(rogueUrl);
  assert.equal(text(await stream.readUntil('\n')), 'still here\n');
  stream.close();
});

test('with twinloop.stream an empty message is a half-close, in both directions', async () => {
  behave = (socket) => {
    const received = [];
    socket.send(Buffer.from('question'));
    socket.send(Buffer.alloc(0));
    socket.on('message', (data) => {
      received.push(data);
      if (data.length === 0) socket.close(1000, String(Buffer.concat(received)));
    });
  };
  const stream = await twinloop.connect(rogueUrl, { protocols: ['twinloop.stream'] });
  assert.equal(text(await stream.readUntilClose()), 'question');
  await stream.write('answer');
  await stream.finish();
  assert.equal((await stream.closed).reason, 'end');
});

test('what was written before close() arrives, in few messages', async () => {
  const messages = [];
  let peer;
  behave = (socket) => {
    peer = socket;
    socket.on('message', (data, binary) => messages.push([data.length, binary]));
  };
  const stream = await twinloop.connect(rogueUrl);
  const ended = once(peer, 'close');
  for (let i = 0; i < 100; i += 1) stream.write('x'.repeat(1_000));
  stream.close();
  await ended;
  assert.equal(messages.reduce((sum, [length]) => sum + length, 0), 100_000);
  assert.ok(messages.every(([length, binary]) => binary && length <= 65_536), JSON.stringify(messages));
  assert.ok(messages.length <= 4, `${messages.length} messages`);
});

test('write() waits while the peer takes nothing, and goes on when it does', async () => {
  let peer;
  behave = (socket) => {
    peer = socket;
    socket.pause();
  };
  const stream = await twinloop.connect(rogueUrl);
  const total = 32 * 1024 * 1024;
  let written = 0;
  const sending = (async () => {
    while (written < total) {
      await stream.write(new Uint8Array(65_536));
      written += 65_536;
    }
  })();
  let seen = -1;
  while (seen !== written) {  // until two looks in a row, 100 turns apart, see no progress
    seen = written;
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
  }
  assert.ok(written < total, 'it never waited');
  let received = 0;
  const all = new Promise((resolve) => peer.on('message', (data) => (received += data.length) === total && resolve()));
  peer.resume();
  await Promise.all([sending, all]);
  stream.close();
});

test('an aborted or late connect lets go of its socket', async () => {
  const abort = new AbortController();
  const attempt = twinloop.connect(deafUrl, { signal: abort.signal });
  const knocked = once(deaf, 'connection');
  const [socket] = await knocked;
  socket.resume();
  abort.abort(new Error('enough'));
  await assert.rejects(attempt, /enough/);
  await once(socket, 'close');
  await assert.rejects(twinloop.connect(deafUrl, { timeout: 20 }), (error) => {
    assert.ok(error instanceof twinloop.TimeoutError);
    assert.ok(error.message.includes(deafUrl) && error.message.includes('20 ms'), error.message);
    return true;
  });
});

test('a connection can bring its own WebSocket class', async () => {
  let made = 0;
  class Counted extends WebSocket {
    constructor(...args) {
      super(...args);
      made += 1;
    }
  }
  (await twinloop.connect(echo.url, { WebSocket: Counted })).close();
  (await openStream()).close();
  assert.equal(made, 1);
});

test('a WebSocket class that throws is an error, not a crash', async () => {
  class Broken {
    constructor() {
      throw new Error('no sockets today');
    }
  }
  await assert.rejects(twinloop.connect(echo.url, { WebSocket: Broken }), /no sockets today/);
  (await openStream()).close();
});

test('operations on a closed stream reject with `local`', async () => {
  const stream = await openStream();
  const read = stream.readSome();
  stream.close();
  stream.close();
  await fails(read, 'local');
  await fails(stream.write('x'), 'local');
  await fails(stream.readSome(), 'local');
});

test('the package stays within its size', async (t) => {
  const names = ['module.wasm', 'module.js', 'index.js', 'node.js', 'runtime.js', 'errors.js', 'wasm.js'];
  let raw = 0;
  let brotli = 0;
  for (const name of names) {
    const bytes = await readFile(join(installed.target, 'dist', name));
    const packed = brotliCompressSync(bytes).length;
    t.diagnostic(`${name}: ${bytes.length} raw, ${packed} brotli`);
    raw += bytes.length;
    brotli += packed;
  }
  const figures = `${raw} bytes raw, ${brotli} brotli`;
  t.diagnostic(`together: ${figures}`);
  assert.ok(raw <= 62_000 && brotli <= 26_250, `${figures}; the budget is 62,000 and 26,250`);
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
  await assert.rejects(twinloop.connect('tcp://127.0.0.1:1/'), (error) => {
    assert.ok(error instanceof twinloop.UnsupportedError);
    assert.match(error.message, /ws:\/\/ and wss:\/\//);
    return true;
  });
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
