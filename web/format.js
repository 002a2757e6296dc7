// Numbers with their units, as nodes.
function figure(text, unit) {
  const small = document.createElement('span');
  small.className = 'unit';
  small.textContent = `\u202f${unit}`;
  return [document.createTextNode(text), small];
}

export const kilobytes = (bytes) => figure((bytes / 1000).toFixed(1), 'kB');

export function milliseconds(time) {
  return figure(time < 10 ? time.toFixed(2) : time.toFixed(time < 100 ? 1 : 0), 'ms');
}
