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

// 1, 2, 5 × 10ⁿ, on both sides of everything that is drawn.
function ticksAround(low, high) {
  const ticks = [];
  for (let n = Math.floor(Math.log10(low)); n <= Math.ceil(Math.log10(high)); ++n) {
    ticks.push(...[1, 2, 5].map((digit) => digit * 10 ** n));
  }
  const first = ticks.findLastIndex((tick) => tick <= low);
  const last = ticks.findIndex((tick) => tick >= high);
  return ticks.slice(Math.max(first, 0), last + 1);
}

// The scale is logarithmic: one slow round trip does not flatten all others.
function scaleOf(samples, { p99 }) {
  const low = Math.max(0.01, samples.reduce((least, sample) => Math.min(least, sample), Infinity));
  const ticks = ticksAround(low, Math.max(p99 * 1.1, low * 4));
  return { ticks, bottom: ticks[0], top: ticks.at(-1) };
}

// Bins of equal ratio; what lies above the top counts in the last one.
export function histogram(samples, figures, number) {
  const { bottom, top } = scaleOf(samples, figures);
  const ratio = Math.log(top / bottom) / number;
  const edge = (i) => bottom * Math.exp(i * ratio);
  const bins = Array.from({ length: number }, (_, i) => ({ from: edge(i), to: edge(i + 1), count: 0, last: i === number - 1 }));
  for (const sample of samples) {
    const index = Math.floor(Math.log(sample / bottom) / ratio);
    bins[Math.max(0, Math.min(number - 1, index))].count += 1;
  }
  return bins;
}

export function drawPlot(svg, samples, figures) {
  const width = svg.clientWidth;
  const height = svg.clientHeight;
  if (width === 0) return;
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  const scale = scaleOf(samples, figures);
  const left = 56;
  const right = Math.round(width * 0.82);
  const bottom = height - 6;
  const unit = (bottom - 8) / Math.log(scale.top / scale.bottom);
  const y = (value) => bottom - Math.log(Math.min(Math.max(value, scale.bottom), scale.top) / scale.bottom) * unit;
  const nodes = [];

  const crowded = scale.ticks.length > 7;
  for (const tick of scale.ticks) {
    const isPower = Number.isInteger(Number(Math.log10(tick).toFixed(6)));
    nodes.push(shape('line', { class: isPower || !crowded ? 'grid' : 'grid faint', x1: left, x2: width, y1: y(tick), y2: y(tick) }));
    if (crowded && !isPower) continue;
    nodes.push(shape('text', { x: left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, `${Number(tick.toPrecision(1))} ms`));
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
