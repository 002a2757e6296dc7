// Whole C++ programs under runProgram of the packed package.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { WebSocket, WebSocketServer } from 'ws';
import { once } from 'node:events';
import { here, installPackage, kTrap, run as execute } from './support.mjs';

const wasmFolder = process.env.TWINLOOP_WASM_BIN_DIR ?? join(here, '../../build/wasm/bin');
const missing = existsSync(join(wasmFolder, 'chat_client.wasm')) ? false : `no chat_client.wasm in ${wasmFolder}`;
if (missing && process.env.CI) throw new Error(missing);

let installed, runProgram, room, url, behave, glue;

before(async () => {
  installed = await installPackage();
  ({ runProgram } = await installed.load('program-node.js'));
  room = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(room, 'listening');
  room.on('connection', (socket) => behave(socket));
  url = `ws://127.0.0.1:${room.address().port}/chat`;
  if (missing) return;
  for (const name of ['chat_client.mjs', 'chat_client.wasm']) await cp(join(wasmFolder, name), join(installed.folder, name));
  glue = pathToFileURL(join(installed.folder, 'chat_client.mjs'));
});

after(async () => {
  room?.close();
  await installed?.remove();
});

// A room that repeats what is said and says bye to whoever quits.
function repeat(socket) {
  let text = '';
  socket.on('message', (data) => {
    text += data;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
      const line = text.slice(0, end);
      text = text.slice(end + 1);
      socket.send(Buffer.from(line === 'quit' ? 'bye\n' : `${line}\n`));
      if (line === 'quit') socket.close(1000);
    }
  });
}

async function run(options, feed) {
  const decoder = new TextDecoder();
  const heard = { output: '', error: '', statuses: [] };
  const program = await runProgram(options.glue ?? glue, {
    args: [url, 'ada'],
    WebSocket,
    output: (bytes) => void (heard.output += decoder.decode(bytes, { stream: true })),
    error: (line) => (heard.error += line),
    onExit: (status) => heard.statuses.push(status),
    ...options,
  });
  feed?.(program);
  heard.status = await program.exited;
  return heard;
}

test('a program reads its input, writes its output and ends with its status', { skip: missing }, async () => {
  behave = repeat;
  const { status, statuses, output, error } = await run({}, (program) => {
    assert.equal(program.input('hello\n'), true);
    assert.equal(program.input(new TextEncoder().encode('grüße\n')), true);
    assert.equal(program.input(null), true);
    assert.equal(program.input('too late'), false);
  });
  assert.equal(output, 'name ada\nsay hello\nsay grüße\nbye\n');
  assert.deepEqual([status, statuses, error], [0, [0], '']);
});

test('a program that is asked to records what its loop does, for Perfetto', { skip: missing }, async () => {
  behave = repeat;
  let atEnd;
  let running;
  await run({ env: { TWINLOOP_TRACE: 'on' }, onTrace: (json) => (atEnd = json) }, (program) => {
    running = program;
    program.input(null);
  });
  const { traceEvents } = JSON.parse(atEnd);
  assert.ok(traceEvents.some((event) => event.name.startsWith('chat_client.cpp:')), 'its co_awaits are named');
  assert.equal(running.trace(), undefined, 'after its end there is nothing to ask');
  await run({ onTrace: () => assert.fail('nobody asked for one') }, (program) => {
    assert.equal(program.trace(), undefined);
    program.input(null);
  });
});

test('a failing program ends with 1 and says why, with the URL', { skip: missing }, async () => {
  const { status, error } = await run({ args: ['ws://127.0.0.1:1/chat'] });
  assert.equal(status, 1);
  assert.match(error, /ws:\/\/127\.0\.0\.1:1\/chat.*close code 1006.*usual causes.*refused/s);
});

test('the list of arguments that a program is given stays as it was', { skip: missing }, async () => {
  const args = ['tcp://127.0.0.1:1'];
  await run({ args });
  assert.deepEqual(args, ['tcp://127.0.0.1:1']);
});

test('a scheme that no browser has is not_supported and names those it has', { skip: missing }, async () => {
  const { status, error } = await run({ args: ['tcp://127.0.0.1:1'] });
  assert.equal(status, 1);
  assert.match(error, /tcp:\/\/127\.0\.0\.1:1.*ws:\/\/ or wss:\/\//);
});

test('more than 16 MiB of waiting input is refused', { skip: missing }, async () => {
  behave = repeat;
  const chunk = new Uint8Array(4 * 1024 * 1024).fill(10);
  let taken = 0;
  await run({}, (program) => {
    while (program.input(chunk)) taken += chunk.length;
    program.input(null);
  });
  assert.equal(taken, 16 * 1024 * 1024);
});

test('an output that is not ready makes the program wait', { skip: missing }, async () => {
  behave = repeat;
  let output = '';
  let busy = false;
  let resolveShown;
  const shown = new Promise((resolve) => (resolveShown = resolve));
  const { status } = await run(
    {
      output: async (bytes) => {
        assert.equal(busy, false, 'output was called while it was not ready');
        busy = true;
        for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
        output += new TextDecoder().decode(bytes);
        busy = false;
        if (output.endsWith('bye\n')) resolveShown();
      },
    },
    (program) => program.input('one\ntwo\nthree\n') && program.input(null),
  );
  assert.equal(status, 0);
  await shown;  // a program's last words may come behind its exit
  assert.equal(output, 'name ada\nsay one\nsay two\nsay three\nbye\n');
});

test('a program that traps rejects `exited`, closes its connections, and takes no more input', { skip: missing }, async () => {
  let heard;
  let resolveClosed;
  const closed = new Promise((resolve) => (resolveClosed = resolve));
  behave = (socket) => {
    socket.on('message', (data) => (heard ??= String(data)));
    socket.on('close', resolveClosed);
    socket.send(Buffer.from('welcome\n'));
  };
  await writeFile(join(installed.folder, 'trap.mjs'), `
    import { WebSocket } from 'ws';
    import { runProgram } from 'twinloop/program';
    process.on('uncaughtException', () => {});
    ${kTrap}
    let welcome;
    const welcomed = new Promise((resolve) => (welcome = resolve));
    const program = await runProgram(process.argv[2], { args: [process.argv[3], 'ada'], WebSocket, output: () => welcome() });
    await welcomed;
    trap = true;
    try {
      program.input('hello\\n');
    } catch {}
    await program.exited.catch((cause) => console.log(cause.name, cause.message));
    console.log(program.input('more\\n'), program.trace());`);
  const { stdout } = await execute(process.execPath, ['trap.mjs', String(glue), url], { cwd: installed.folder });
  assert.equal(stdout, 'RuntimeError unreachable\nfalse undefined\n');
  await closed;
  assert.equal(heard, 'name ada\n');
});

test('the glue can be given as a function, with the wasm beside it named', { skip: missing }, async () => {
  behave = repeat;
  const { default: factory } = await import(glue.href);
  await assert.rejects(runProgram(factory, {}), /needs \{ wasm \}/);
  const wasm = pathToFileURL(join(installed.folder, 'chat_client.wasm'));
  const { status } = await run({ glue: factory, wasm }, (program) => program.input(null));
  assert.equal(status, 0);
});

test('a wasm that is not there is an error with the address that was tried', { skip: missing }, async () => {
  await assert.rejects(runProgram(glue, { wasm: new URL('file:///nowhere/x.wasm') }), /nowhere\/x\.wasm/);
});
