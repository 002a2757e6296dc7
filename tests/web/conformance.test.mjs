// Every behaviour that needs no platform, in wasm: in Node and in headless Chromium.
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { demo, root, runInPage, runWasm, startBrowser, startServer, wasmFile } from './support.mjs';

const artefacts = join(root, 'build/artefacts');
const part = process.env.TWINLOOP_BEHAVIOURS ?? ''; // only those with this in their names
const args = part === '' ? [] : [part];

// What all of them printed is kept for the table backend × behaviour.
async function report(t, host, { status, output, error }) {
  const lines = output.split('\n');
  const planned = Number(/^1\.\.(\d+)$/.exec(lines[0] ?? '')?.[1] ?? NaN);
  if (part === '') {
    await mkdir(artefacts, { recursive: true });
    await writeFile(join(artefacts, `behaviours-${host}.tap`), output);
    assert.ok(planned > 50, `the plan says ${lines[0]}; ${error}`);
  }
  assert.notEqual(planned, 0, `no behaviour has '${part}' in its name`);
  let seen = 0;
  for (const [index, line] of lines.entries()) {
    const result = /^(not )?ok \d+ - (.*?)( # SKIP (.*))?$/.exec(line);
    if (!result) continue;
    seen += 1;
    const [, failed, name, , skip] = result;
    await t.test(name, skip ? { skip } : {}, () => assert.ok(!failed, lines[index + 1]));
  }
  assert.equal(seen, planned, 'every planned behaviour reported');
  assert.equal(status, 0, error);
}

test('the behaviours in Node', async (t) => {
  await report(t, 'Node', await runWasm('conformance', args, ''));
});

test('the behaviours in Chromium', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'twinloop-page-'));
  await cp(join(demo, 'twinloop'), join(folder, 'twinloop'), { recursive: true });
  for (const file of ['conformance.mjs', 'conformance.wasm']) await cp(wasmFile(file), join(folder, file));
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>behaviours</title><link rel="icon" href="data:,">');
  const server = await startServer('chat_server', ['--port', '0', '--chat-port', '0', '--web-root', folder], 2);
  const browser = await startBrowser();
  try {
    const page = await browser.context.newPage();
    await page.goto(server.urls[0]);
    await report(t, 'Chromium', await runInPage(page, 'conformance', args, ''));
  } finally {
    await browser.stop();
    await server.stop();
    await rm(folder, { recursive: true });
  }
});
