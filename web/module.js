// The compiled chat client: fetched and compiled once, however often it is run, and what that cost.
import { milliseconds, kilobytes } from './format.js';

const kGlue = 'chat_client.mjs';
const kWasm = 'chat_client.wasm';
const byId = (id) => document.getElementById(id);

async function fetched(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return response;
}

function transferSize(name) {
  const entries = performance.getEntriesByName(new URL(name, document.baseURI).href);
  return entries.at(-1)?.transferSize ?? 0;
}

async function readSizes() {
  const response = await fetch('module-sizes.json');
  return response.ok ? await response.json() : null;
}

// Gives what runProgram needs, and the figures.
export async function loadModule(config) {
  if (config.module === false) throw new Error('the server has no chat_client.wasm');
  const begin = performance.now();
  const [bytes, glue, { runProgram }] = await Promise.all([
    fetched(kWasm).then((response) => response.arrayBuffer()),
    fetched(kGlue).then((response) => response.arrayBuffer()),
    import('./twinloop/program.js'),
  ]);
  const arrived = performance.now();
  const wasm = await WebAssembly.compile(bytes);
  const compiled = performance.now();
  const figures = {
    raw: bytes.byteLength + glue.byteLength,
    wasm: bytes.byteLength,
    glue: glue.byteLength,
    transferred: transferSize(kWasm) + transferSize(kGlue),
    fetchTime: arrived - begin,
    compileTime: compiled - arrived,
  };
  return { runProgram, glueUrl: new URL(kGlue, document.baseURI).href, wasm, figures };
}

export async function showModule({ figures }) {
  byId('module-raw').replaceChildren(...kilobytes(figures.raw));
  byId('module-transferred').replaceChildren(...kilobytes(figures.transferred || figures.raw));
  const compressed = figures.transferred > 0 && figures.transferred < 0.9 * figures.raw;
  byId('module-load').textContent = compressed ? 'compressed on its way here' : 'headers included, not compressed';
  byId('module-ready').replaceChildren(...milliseconds(figures.fetchTime + figures.compileTime));
  byId('module-compile').textContent =
    `${figures.fetchTime.toFixed(1)} ms to fetch, ${figures.compileTime.toFixed(1)} ms to compile`;
  const sizes = await readSizes().catch(() => null);
  const packed = (kind) => (sizes.files.reduce((sum, file) => sum + file[kind], 0) / 1000).toFixed(1);
  const parts = `${(figures.wasm / 1000).toFixed(1)} kB WebAssembly and ${(figures.glue / 1000).toFixed(1)} kB glue`;
  byId('module-packed').textContent = sizes === null ? parts : `${parts}; ${packed('gzip')} kB gzip, ${packed('brotli')} kB brotli`;
}

export function showModuleMissing(error) {
  byId('module-missing').hidden = false;
  byId('module-figures').hidden = true;
  byId('module-reason').textContent = `Reason: ${error.message}.`;
}

// Called at each start of the program.
export function showStart(time) {
  const ready = byId('module-compile');
  ready.textContent = `${ready.textContent.split('; ')[0]}; ${time.toFixed(1)} ms to instantiate`;
}
