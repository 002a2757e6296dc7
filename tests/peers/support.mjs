// The other ends: servers and clients that others have written, each on a free port and gone with the test.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRequire } from 'node:module';
import { root, within } from '../programs.mjs';

export { bin, runNative, startServer, within } from '../programs.mjs';
export const { WebSocket, WebSocketServer } = createRequire(join(root, 'bindings/js/package.json'))('ws');

// Those of Debian whose package is missing are skipped loudly, except in CI, where nothing may be missing.
export function missing(...commands) {
  const absent = commands.filter((command) => !has(command));
  if (absent.length === 0) return false;
  if (process.env.CI === 'true') throw new Error(`CI lacks ${absent.join(' and ')}`);
  return `no ${absent.join(' and ')} here`;
}

const kProbes = { websockets: ['/usr/bin/python3', ['-c', 'import websockets']] };

function has(command) {
  const [program, args] = kProbes[command] ?? ['/bin/sh', ['-c', `PATH=$PATH:/usr/sbin:/sbin command -v ${command}`]];
  try {
    execFileSync(program, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

// A folder with what belongs to one test file, and everything that it started.
export class Stage {
  #ends = [];
  folder;

  static async open() {
    const stage = new Stage();
    stage.folder = await mkdtemp(join(tmpdir(), 'twinloop-peers-'));
    return stage;
  }

  async close() {
    for (const end of this.#ends.reverse()) await end();
    await rm(this.folder, { recursive: true, force: true });
  }

  atEnd(end) {
    this.#ends.push(end);
  }

  path(name) {
    return join(this.folder, name);
  }

  async file(name, content) {
    await writeFile(this.path(name), content);
    return this.path(name);
  }

  // A certificate for localhost, which is its own authority.
  certificate() {
    const [certificate, key] = [this.path('cert.pem'), this.path('key.pem')];
    execFileSync('openssl', ['req', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-subj', '/CN=twin',
      '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-days', '2', '-keyout', key, '-out', certificate], { stdio: 'ignore' });
    return { certificate, key };
  }

  // Starts a program that stays, and waits until `port` answers.
  async daemon(command, args, port) {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
    const ended = once(child, 'close');
    this.atEnd(async () => {
      child.kill('SIGTERM');
      await within(ended, `${command} ends`);
    });
    const early = ended.then(() => Promise.reject(new Error(`${command} ended at once: ${said}`)));
    early.catch(() => {});
    await within(Promise.race([answers(port), early]), `${command} answers`);
  }
}

// A port that was free a moment ago, for servers that cannot choose one themselves.
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function answers(port) {
  for (;;) {
    const socket = net.connect(port, '127.0.0.1');
    const connected = await new Promise((done) => socket.once('connect', () => done(true)).once('error', () => done(false)));
    socket.destroy();
    if (connected) return;
    await new Promise((done) => setTimeout(done, 20));
  }
}

// Runs a peer to its end, with this input.
export async function run(command, args, input = '', options = {}) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options });
  const chunks = [];
  let error = '';
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  child.stderr.on('data', (chunk) => (error += chunk));
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [status] = await within(once(child, 'close'), `${command} ${args.join(' ')}`);
  return { status, output: Buffer.concat(chunks), error };
}

// What a stream of Node's gives until its end.
export async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

// Bytes that are different everywhere, so that a lost, doubled or moved piece shows.
export function bytes(count) {
  const content = Buffer.alloc(count);
  for (let i = 0; i + 4 <= count; i += 4) content.writeUInt32LE((i * 2654435761) >>> 0, i);
  return content;
}
