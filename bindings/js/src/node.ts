// The package in Node: the module is read from the disk.
import { readFile } from 'node:fs/promises';
import { setDefaultReader } from './runtime.js';

setDefaultReader(async (url) => {
  if (url.protocol !== 'file:') return fetch(url);
  return new Uint8Array(await readFile(url));
});

export * from './index.js';
