// The package in Node: the module is read from the disk. The functions stand here themselves, so that a bundler which believes
// `sideEffects: false` keeps what they do.
import { readFile } from 'node:fs/promises';
import { connect as connectAnywhere, type ConnectOptions, init as initAnywhere, type InitOptions, type IOStream } from './index.js';
import { fetchFrom, setReader } from './wasm.js';

export * from './index.js';

function useFiles(): void {
  setReader(async (url) => (url.protocol === 'file:' ? new Uint8Array(await readFile(url)) : fetchFrom(url)));
}

export function init(options: InitOptions = {}): Promise<void> {
  useFiles();
  return initAnywhere(options);
}

export function connect(url: string | URL, options: ConnectOptions = {}): Promise<IOStream> {
  useFiles();
  return connectAnywhere(url, options);
}
