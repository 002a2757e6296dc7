// Measures round trips over the JavaScript package's IOStream: one message at a time, while the page is visible.
import { milliseconds } from './format.js';
import { drawPlot, histogram } from './plot.js';

const kMessage = new Uint8Array(32).fill(0x2e);
const kPause = 50;        // ms between round trips
const kWarmUp = 20;       // round trips of a new connection that do not count
const kKept = 1000;       // samples that the figures are made of
const kRedraw = matchMedia('(prefers-reduced-motion: reduce)');
const byId = (id) => document.getElementById(id);
const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

export function createEcho({ url }) {
  const samples = [];
  let count = 0;
  let paused = false;
  let drawnAt = -Infinity;
  let resume = () => {};

  function setState(text) {
    if (byId('echo-state').textContent !== text) byId('echo-state').textContent = text;
  }

  function mayRun() {
    return !paused && !document.hidden;
  }

  async function untilWanted() {
    while (!mayRun()) {
      setState('Paused');
      await new Promise((resolve) => (resume = resolve));
    }
  }

  function showTable(bins) {
    const total = bins.reduce((sum, bin) => sum + bin.count, 0);
    const rows = bins.filter((bin) => bin.count > 0).map((bin) => {
      const row = document.createElement('tr');
      const range = bin.last ? `${bin.from.toFixed(2)} and more` : `${bin.from.toFixed(2)} to ${bin.to.toFixed(2)}`;
      for (const text of [range, bin.count, `${((100 * bin.count) / total).toFixed(1)} %`]) row.insertCell().textContent = text;
      return row;
    });
    byId('rtt-table').tBodies[0].replaceChildren(...rows);
  }

  function draw(force) {
    const now = performance.now();
    if (!force && now - drawnAt < (kRedraw.matches ? 2000 : 100)) return;
    if (samples.length === 0) return;
    drawnAt = now;
    const sorted = Float64Array.from(samples).sort();
    const figures = { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), last: samples.at(-1) };
    for (const [name, value] of Object.entries(figures)) byId(`rtt-${name}`).replaceChildren(...milliseconds(value));
    byId('rtt-count').textContent = count.toLocaleString('en');
    drawPlot(byId('plot'), samples, figures);
    if (byId('rtt-table').closest('details').open) showTable(histogram(samples, figures, 10));
  }

  async function roundTrip(stream) {
    const begin = performance.now();
    await stream.write(kMessage);
    await stream.readBytes(kMessage.length);
    return performance.now() - begin;
  }

  async function measure(stream) {
    for (let i = 0; i < kWarmUp; ++i) await roundTrip(stream);
    while (mayRun()) {
      samples.push(await roundTrip(stream));
      if (samples.length > kKept) samples.shift();
      count += 1;
      draw(false);
      await sleep(kPause);
    }
  }

  async function run() {
    const { connect } = await import('./twinloop/index.js');
    let failures = 0;
    for (;;) {
      await untilWanted();
      try {
        setState('Connecting …');
        const stream = await connect(url);
        failures = 0;
        setState('Measuring');
        await measure(stream);
        stream.close();
      } catch (error) {
        const wait = Math.min(30, 2 ** ++failures);
        setState(`No answer, ${error.message.split(': ').at(-1)}; next try in ${wait} s`);
        await Promise.race([sleep(wait * 1000), new Promise((wake) => (resume = wake))]);
      }
    }
  }

  byId('pause').addEventListener('click', () => {
    paused = !paused;
    byId('pause').textContent = paused ? 'Go on' : 'Pause';
    byId('pause').setAttribute('aria-pressed', String(paused));
    resume();
  });
  document.addEventListener('visibilitychange', () => resume());
  byId('rtt-table').closest('details').addEventListener('toggle', () => draw(true));
  new ResizeObserver(() => draw(true)).observe(byId('plot'));

  run().catch((error) => setState(`The JavaScript package cannot be loaded: ${error.message}`));
}
