// The same for whole programs: their wasm may be a file.
import { readFile } from 'node:fs/promises';
import { type GlueFactory, type Program, type ProgramOptions, runProgram as runAnywhere } from './program.js';
import { fetchFrom, setReader } from './wasm.js';

export * from './program.js';

export function runProgram(glue: GlueFactory | string | URL, options: ProgramOptions = {}): Promise<Program> {
  setReader(async (url) => (url.protocol === 'file:' ? new Uint8Array(await readFile(url)) : fetchFrom(url)));
  return runAnywhere(glue, options);
}
