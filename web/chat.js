// The chat panel.  It runs the compiled chat_client: what is typed becomes the program's standard input, and what the program
// prints becomes the conversation.
const kMaxEntries = 500;
const kIcons = {
  idle: 'M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11',
  connecting: 'M8 2.5a5.5 5.5 0 1 1-5.5 5.5',
  connected: 'M2.8 8.6l3.4 3.4 7-7.6',
  leaving: 'M8 2.5a5.5 5.5 0 1 1-5.5 5.5',
  lost: 'M8 2.2l6.2 11.2H1.8z M8 6.7v2.8 M8 11.5v.1',
};
const kButtons = {
  idle: 'Join the room',
  connecting: 'Cancel',
  connected: 'Leave the room',
  leaving: 'Leaving …',
  lost: 'Join again',
};

const byId = (id) => document.getElementById(id);

function element(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

// What the room says is a line each: "ADA: hello" from somebody, everything else from the room itself.
function spokenBy(line) {
  const colon = line.indexOf(': ');
  if (colon < 1 || line.startsWith('error: ') || line.startsWith('pong ')) return null;
  return { name: line.slice(0, colon), text: line.slice(colon + 2) };
}

export function createChat({ url, module, onStart, onChange, onHeard, onSaid, onOther }) {
  const log = byId('log');
  const message = byId('message');
  const nameField = byId('name');
  let state = 'idle';
  let program = null;
  let visit = 0;  // each run has a number, so that a late word from an earlier one is not heard
  let ownName = '';
  let present = 0;
  let lastError = '';

  // ---- what is shown

  function setState(next, text) {
    const inside = byId('say').contains(document.activeElement);
    state = next;
    byId('state').dataset.state = next;
    byId('state-text').textContent = text;
    byId('state-icon').setAttribute('d', kIcons[next]);
    const connected = next === 'connected';
    const busy = next === 'leaving';
    message.disabled = byId('send').disabled = byId('trace').disabled = !connected;
    message.placeholder = connected ? 'Message, or /who' : 'Join the room to talk';
    nameField.disabled = connected || busy || next === 'connecting';
    byId('toggle').disabled = busy;
    byId('toggle').textContent = kButtons[next];
    byId('toggle').classList.toggle('primary', next === 'idle' || next === 'lost');
    if (inside && !connected) byId('toggle').focus();
    onChange(connected);
  }

  function showPresence() {
    const others = present - 1;
    const company = others < 1 ? 'alone' : others === 1 ? 'with one other' : `with ${others} others`;
    byId('state-text').textContent = `Connected as ${ownName}, ${company}`;
  }

  function append(node, line) {
    byId('log-empty')?.remove();
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
    node.dataset.line = line;
    log.append(node);
    while (log.childElementCount > kMaxEntries) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  function showSpoken({ name, text }, line) {
    const own = name === ownName;
    const node = element('div', own ? 'line said own' : 'line said', '');
    node.append(element('b', 'who', name), element('span', 'visually-hidden', ': '), element('span', 'text', text));
    append(node, line);
    if (!own) onOther();
  }

  function showTold(line) {
    const welcome = /^welcome (.+) \((\d+) here\)$/.exec(line);
    if (welcome) {
      ownName = welcome[1];
      present = Number(welcome[2]);
      setState('connected', '');
      showPresence();
      message.focus({ preventScroll: true });
      return append(element('div', 'line told', `You are in, as ${ownName}.`), line);
    }
    if (line.startsWith('joined ')) present += 1;
    if (line.startsWith('left ')) present -= 1;
    if (state === 'connected') showPresence();
    if (line.startsWith('error: ')) {
      lastError = line.slice('error: '.length);
      return append(element('div', 'line told wrong', `The room says: ${lastError}`), line);
    }
    const text = line
      .replace(/^joined (.+)$/, '$1 came in.')
      .replace(/^left (.+)$/, '$1 left.')
      .replace(/^here (.+)$/, 'Here: $1')
      .replace(/^bye$/, 'The room says bye.');
    append(element('div', 'line told', text), line);
  }

  function showLine(line) {
    const spoken = spokenBy(line);
    if (spoken) showSpoken(spoken, line);
    else showTold(line);
    onHeard();
  }

  // ---- running the program

  function lineReader(use) {
    const decoder = new TextDecoder();
    let pending = '';
    return (chunk) => {
      pending += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
      const lines = pending.split('\n');
      pending = lines.pop();
      lines.forEach(use);
    };
  }

  function ended(status, reason) {
    program = null;
    if (status === 0) return setState('idle', 'Not connected');
    const text = reason || lastError || `the program ended with status ${status}`;
    setState('lost', `Connection lost: ${text.split(': ').at(-1)}`);
    append(element('div', 'line told wrong', `The connection is gone: ${text}. “Join again” reconnects.`), '');
  }

  async function join() {
    const number = ++visit;
    const current = () => number === visit;
    lastError = '';
    setState('connecting', 'Connecting …');
    let complaint = '';
    try {
      const { runProgram, glueUrl, wasm } = await module;
      if (!current()) return;
      const begin = performance.now();
      const running = await runProgram(glueUrl, {
        args: [url, nameField.value.trim()],
        wasm,
        env: { TWINLOOP_TRACE: 'on' },
        output: lineReader((line) => current() && showLine(line)),
        error: lineReader((line) => (complaint = line)),
      });
      onStart(performance.now() - begin);
      if (!current()) return running.input(null);
      program = running;
      const status = await running.exited;
      if (current()) ended(status, complaint);
    } catch (error) {
      if (current()) ended(1, error.message);
    }
  }

  function leave() {
    setState('leaving', 'Leaving …');
    program.input('/quit\n');
  }

  function giveUp() {
    visit += 1;
    program?.input(null);
    program = null;
    setState('idle', 'Not connected');
  }

  function saveTrace() {
    const link = document.createElement('a');
    link.download = 'twinloop-trace.json';
    link.href = URL.createObjectURL(new Blob([program.trace()], { type: 'application/json' }));
    link.click();
    URL.revokeObjectURL(link.href);
  }

  function say(text) {
    program.input(`${text}\n`);
    onSaid();
  }

  byId('join').addEventListener('submit', (event) => {
    event.preventDefault();
    if (state === 'idle' || state === 'lost') join();
    else if (state === 'connected') leave();
    else if (state === 'connecting') giveUp();
  });
  byId('trace').addEventListener('click', saveTrace);
  byId('say').addEventListener('submit', (event) => {
    event.preventDefault();
    const text = message.value.trim();
    if (state !== 'connected' || text === '') return;
    say(text);
    message.value = '';
  });

  const wanted = new URLSearchParams(location.search).get('name');  // "?name=ada" joins at once
  nameField.value = wanted ?? 'ada';
  setState('idle', 'Not connected');
  module.then(
    () => wanted && join(),
    () => {
      byId('toggle').disabled = true;
      setState('idle', 'The WebAssembly module is missing');
      byId('toggle').disabled = true;
    },
  );
}
