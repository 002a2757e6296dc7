// What the tests of the wasm half share: programs of the native half on free ports, and a headless Chromium.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root, within } from '../programs.mjs';

export { startBrowser } from '../browser.mjs';
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
