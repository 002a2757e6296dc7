// The package as a user gets it: packed, and installed into an empty project.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

export const run = promisify(execFile);
export const here = resolve(fileURLToPath(import.meta.url), '../..');

export async function installPackage() {
  const folder = await mkdtemp(join(tmpdir(), 'twinloop-npm-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: here });
  const [packed] = JSON.parse(stdout);
  const target = join(folder, 'node_modules/twinloop');
  await mkdir(target, { recursive: true });
  await run('tar', ['-xzf', join(folder, packed.filename), '--strip-components=1', '-C', target]);
  await symlink(join(here, 'node_modules/ws'), join(folder, 'node_modules/ws'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  return {
    folder,
    target,
    files: packed.files.map((file) => file.path).sort(),
    load: (entry) => import(pathToFileURL(join(target, 'dist', entry)).href),
    remove: () => rm(folder, { recursive: true }),
  };
}

// The native echo server, on a free port.
export async function startEcho(...args) {
  const program = join(process.env.TWINLOOP_BIN_DIR ?? join(here, '../../build/release/bin'), 'echo_server');
  const server = spawn(program, [...args, 'ws://127.0.0.1:0/'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(server.stdout, 'data');
  return {
    url: String(line).trim().slice('listening '.length),
    async stop() {
      server.kill('SIGTERM');
      await once(server, 'exit');
    },
  };
}

// A script's first lines: with `trap` set, every call into a module that it loads traps.
export const kTrap = `
  const { instantiate } = WebAssembly;
  let trap = false;
  WebAssembly.instantiate = async (...args) => {
    const { exports } = await instantiate(...args);
    const trapping = (call) => (...given) => {
      if (trap) throw new WebAssembly.RuntimeError('unreachable');
      return call(...given);
    };
    const calls = Object.entries(exports).filter(([, value]) => typeof value === 'function');
    return { exports: { ...exports, ...Object.fromEntries(calls.map(([name, call]) => [name, trapping(call)])) } };
  };`;
