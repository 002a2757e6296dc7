// Draws round-trip times as a line, newest at the right, and beside it their distribution on the same scale.
const kShown = 240;
const kBins = 28;
const kSvg = 'http://www.w3.org/2000/svg';

function shape(tag, attributes, text) {
  const node = document.createElementNS(kSvg, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// The smallest of 1, 2, 5 × 10ⁿ that is at least this.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 2, 5, 10].find((step) => step * power >= value * 0.999999);
}

function topOf({ p50, p99 }) {
  const step = roundUp(Math.max(p99 * 1.25, p50 * 2, 0.04) / 4);
  return { step, top: step * Math.ceil((Math.max(p99 * 1.25, p50 * 2)) / step) };
}

// What lies above the top counts in the last bin.
export function histogram(samples, figures, number) {
  const { top } = topOf(figures);
  const width = top / number;
  const bins = Array.from({ length: number }, (_, i) => ({ from: i * width, to: (i + 1) * width, count: 0, last: i === number - 1 }));
  for (const sample of samples) bins[Math.min(number - 1, Math.floor(sample / width))].count += 1;
  return bins;
}

export function drawPlot(svg, samples, figures) {
  const width = svg.clientWidth;
  const height = svg.clientHeight;
  if (width === 0) return;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const { step, top } = topOf(figures);
  const left = 52;
  const right = Math.round(width * 0.82);
  const bottom = height - 6;
  const y = (value) => bottom - (Math.min(value, top) / top) * (bottom - 8);
  const nodes = [];

  for (let value = 0; value <= top * 1.001; value += step) {
    nodes.push(shape('line', { class: 'grid', x1: left, x2: width, y1: y(value), y2: y(value) }));
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    nodes.push(shape('text', { x: left - 8, y: y(value) + 4, 'text-anchor': 'end' }, `${value.toFixed(digits)} ms`));
  }

  const shown = samples.slice(-kShown);
  const gap = (right - left - 10) / (kShown - 1);
  const x = (index) => right - 10 - (shown.length - 1 - index) * gap;
  const points = shown.map((value, index) => `${x(index).toFixed(1)} ${y(value).toFixed(1)}`);
  nodes.push(shape('path', { class: 'under', d: `M${x(0)} ${bottom}L${points.join('L')}L${x(shown.length - 1)} ${bottom}Z` }));
  nodes.push(shape('path', { class: 'trace', d: `M${points.join('L')}` }));
  nodes.push(shape('circle', { class: 'now', cx: x(shown.length - 1), cy: y(shown.at(-1)), r: 3.5 }));

  const bins = histogram(samples, figures, kBins);
  const most = Math.max(...bins.map((bin) => bin.count));
  for (const bin of bins.filter((each) => each.count > 0)) {
    const length = Math.max(1.5, (bin.count / most) * (width - right - 8));
    const upper = y(bin.to);
    nodes.push(shape('rect', { class: 'bar', x: right + 4, y: upper + 0.5, width: length, height: y(bin.from) - upper - 1, rx: 1.5 }));
  }

  for (const name of ['p50', 'p99']) {
    const level = y(figures[name]);
    nodes.push(shape('line', { class: `level ${name}`, x1: left, x2: width, y1: level, y2: level }));
  }
  const title = svg.querySelector('title');
  svg.replaceChildren(title, ...nodes);
}
