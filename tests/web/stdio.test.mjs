// `stdio:` of a program in wasm, in Node, with a host that answers.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { runProgram, wasmFile, within } from './support.mjs';

const answers = { 'name?\n': 'twin\n', 'place?\n': 'page\n', 'end?\n': null };

async function run(what) {
  let program;
  const started = runProgram(pathToFileURL(wasmFile('stdio_program.mjs')), {
    args: [what],
    wasm: await readFile(wasmFile('stdio_program.wasm')),
    output: (bytes) => void setImmediate(() => program.input(answers[new TextDecoder().decode(bytes)])),
  });
  program = await within(started, 'its start');
  return within(program.exited, what);
}

test('stdio: is opened again and hears the second answer too', async () => assert.equal(await run('ask twice'), 0));

test('a second stdio: at once is busy, and the first one goes on', async () => assert.equal(await run('open two'), 0));

test('the end of stdio: is told although nobody reads', async () => assert.equal(await run('await the end'), 0));
