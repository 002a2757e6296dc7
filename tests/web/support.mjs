// What the tests of the wasm half share: programs of the native half on free ports, and a headless Chromium.
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, within } from '../programs.mjs';

export { bin, root, runNative, startServer, within } from '../programs.mjs';
export const wasmFile = (name) => join(root, 'build/wasm/bin', name);
export const demo = join(root, 'build/demo');
export const packageRequire = createRequire(join(root, 'bindings/js/package.json'));
export const WebSocket = packageRequire('ws').WebSocket;
export const { runProgram } = await import(pathToFileURL(join(root, 'bindings/js/dist/program.js')).href);

// Runs a wasm program in this Node to its end.
export async function runWasm(name, args, input) {
  const decoder = new TextDecoder();
  let output = '';
  let error = '';
  const program = await runProgram(pathToFileURL(wasmFile(`${name}.mjs`)), {
    args,
    wasm: await readFile(wasmFile(`${name}.wasm`)),
    WebSocket,
    output: (bytes) => (output += decoder.decode(bytes, { stream: true })),
    error: (line) => (error += line),
  });
  if (input !== '') program.input(input);
  program.input(null);
  const status = await within(program.exited, `${name} in wasm`);
  return { status, output, error };
}

// A headless Chromium; every page's console errors are collected.
export async function startBrowser() {
  const { chromium } = packageRequire('playwright-core');
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));
  if (!executablePath) throw new Error('no Chromium found; ./dev setup installs it');
  const profile = await mkdtemp(join(tmpdir(), 'twinloop-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    viewport: { width: 1280, height: 1000 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  const complaints = [];
  context.on('page', (page) => {
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
  });
  return {
    context,
    complaints,
    async stop() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

// Runs a wasm program in a page that `origin` serves, to its end.
export function runInPage(page, name, args, input) {
  return within(
    page.evaluate(
      async ([name, args, input]) => {
        const { runProgram } = await import('/twinloop/program.js');
        const wasm = await (await fetch(`/${name}.wasm`)).arrayBuffer();
        const decoder = new TextDecoder();
        let output = '';
        let error = '';
        const program = await runProgram(new URL(`/${name}.mjs`, location.href).href, {
          args,
          wasm,
          output: (bytes) => (output += decoder.decode(bytes, { stream: true })),
          error: (line) => (error += line),
        });
        if (input !== '') program.input(input);
        program.input(null);
        return { status: await program.exited, output, error };
      },
      [name, args, input],
    ),
    `${name} in Chromium`,
  );
}
