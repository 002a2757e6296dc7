// The coroutines in wasm beside JavaScript's promises, both in this Node: node coro_wasm.mjs MODULE.mjs [--json FILE] [--smoke].
// The contestants take turns; what is compared is the median of the rounds' ratios.  Neither side waits for the event loop.
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [file, ...options] = process.argv.slice(2);
const smoke = options.includes('--smoke');
const json = options.includes('--json') ? options[options.indexOf('--json') + 1] : undefined;
const kRounds = smoke ? 1 : 9;
const kCount = smoke ? 1_000 : 200_000;

const one = async () => 1;
const hopOnce = async () => {
  await undefined;
  return 1;
};
let sum = 0;

async function timeout(count) {
  for (let i = 0; i < count; ++i) {
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(reject, 3_600_000)));
    sum += await Promise.race([hopOnce(), late]);
    clearTimeout(timer);
  }
}

async function queue(count) {
  const items = [];
  let wake;
  const consumer = (async () => {
    for (let i = 0; i < count; ++i) {
      if (items.length === 0) await new Promise((resolve) => (wake = resolve));
      sum += items.shift();
    }
  })();
  for (let i = 0; i < count; ++i) {
    items.push(1);
    wake?.();
    wake = undefined;
    await undefined;
  }
  await consumer;
}

const rows = [
  ['await of a ready future', async (count) => { for (let i = 0; i < count; ++i) sum += await Promise.resolve(1); }],
  ['await of a coroutine that completes at once', async (count) => { for (let i = 0; i < count; ++i) sum += await one(); }],
  ['hop through the ready queue', async (count) => { for (let i = 0; i < count; ++i) await undefined; }],
  ['await of a promise fulfilled from the ready queue', async (count) => {
    for (let i = 0; i < count; ++i) sum += await new Promise((resolve) => queueMicrotask(() => resolve(1)));
  }],
  ['await of a coroutine that hops', async (count) => { for (let i = 0; i < count; ++i) sum += await hopOnce(); }],
  ['spawn and finish', async (count) => {
    for (let i = 1; i <= count; ++i) {
      void one();
      if (i % 100 === 0) await undefined;
    }
  }],
  ['with_timeout that does not fire', timeout],
  ['queue hand-over between two coroutines', queue],
];

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

// Processor time: what other programs do meanwhile does not count.
async function nanoseconds(run) {
  const before = process.cpuUsage();
  await run(kCount);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1e3) / kCount;
}

const { default: create } = await import(pathToFileURL(resolve(file)));
const module = await create();

const table = [];
for (const [row, [name, promises]] of rows.entries()) {
  const wasm = (count) => module._measure(row, count);
  const ours = [], peers = [];
  for (let round = -1; round < kRounds; ++round) {
    const times = [await nanoseconds(wasm), await nanoseconds(promises)];
    if (round < 0) continue; // to warm up
    ours.push(times[0]);
    peers.push(times[1]);
  }
  const ratio = median(ours.map((time, i) => time / peers[i]));
  table.push({ name, unit: 'ns', ours: median(ours), peers: { promises: median(peers) }, ratio });
}

console.log(`Node ${process.version}`.padEnd(50), 'twinloop in wasm'.padStart(17), 'promises'.padStart(9), 'ours / it'.padStart(10));
for (const { name, ours, peers, ratio } of table) {
  console.log(name.padEnd(50), ours.toFixed(1).padStart(17), peers.promises.toFixed(1).padStart(9), ratio.toFixed(2).padStart(10));
}
if (json) writeFileSync(json, JSON.stringify({ name: 'coro-wasm', node: process.version, rows: table }, null, 2) + '\n');
process.exit(0); // whatever timers are left
