// Native programs as the tests in JavaScript use them: on free ports, with an end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(fileURLToPath(import.meta.url), '../..');
export const bin = (name) => join(root, 'build/release/bin', name);

const kDeadline = 60_000;

export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${kDeadline / 1000} s`)), kDeadline);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Starts a server and waits for as many `listening URL` lines as it has listeners.  said(pattern) waits for another line of it, and
// gives the match.
export async function startServer(name, args, listeners) {
  const server = spawn(bin(name), args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const urls = [];
  const lines = [];
  let text = '';
  let told = () => {};
  const listening = new Promise((done, fail) => {
    server.once('exit', (status) => fail(new Error(`${name} ended with status ${status} before it listened`)));
    server.stdout.on('data', (chunk) => {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        if (line.startsWith('listening ')) urls.push(line.slice('listening '.length));
        else lines.push(line);
        if (urls.length === listeners) done();
      }
      told();
    });
  });
  await within(listening, `${name} starts`);
  return {
    urls,
    said(pattern) {
      const found = new Promise((done) => {
        told = () => {
          const line = lines.find((each) => pattern.test(each));
          if (line !== undefined) done(pattern.exec(line));
        };
        told();
      });
      return within(found, `${name} says ${pattern}`);
    },
    async stop() {
      const ended = once(server, 'exit');
      server.kill('SIGTERM');
      const [status] = await within(ended, `${name} ends`);
      return status;
    },
  };
}

// Runs a native program to its end.  Its input ends at once, or with `hold` never: then the program ends because its peer does.
export async function runNative(name, args, input, { env = {}, hold = false } = {}) {
  const program = spawn(bin(name), args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let output = '';
  let error = '';
  program.stdout.on('data', (chunk) => (output += chunk));
  program.stderr.on('data', (chunk) => (error += chunk));
  program.stdin.on('error', () => {});
  program.stdin.write(input);
  if (!hold) program.stdin.end();
  const [status] = await within(once(program, 'close'), `${name} ${args.join(' ')}`);
  program.stdin.destroy();
  return { status, output, error };
}
