// The page's parts, and what they tell each other.
import { createChat } from './chat.js';
import { createEcho } from './echo.js';
import { loadModule, showModule, showModuleMissing, showStart } from './module.js';
import { showSource } from './source.js';

const byId = (id) => document.getElementById(id);

async function readConfig() {
  try {
    const response = await fetch('config.json');
    return response.ok ? await response.json() : {};
  } catch {
    return {};
  }
}

function webSocketUrl(path) {
  const url = new URL(path, document.baseURI);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url.href;
}

// One turn of the loop that did something, on the drawing.
function beat(loop) {
  const orbit = document.querySelector(`.orbit.${loop}`);
  orbit.classList.remove('beat');
  orbit.getBoundingClientRect();  // starts the animation anew
  orbit.classList.add('beat');
}

function offerCommand(chatUrl, name) {
  byId('command').textContent = `build/release/bin/chat_client ${chatUrl} ${name}`;
}

async function copyCommand() {
  const button = byId('copy');
  try {
    await navigator.clipboard.writeText(byId('command').textContent);
    button.textContent = 'Copied';
  } catch {
    getSelection().selectAllChildren(byId('command'));
    button.textContent = 'Selected';
  }
  setTimeout(() => (button.textContent = 'Copy'), 2000);
}

const config = await readConfig();
offerCommand(config.chat ?? 'tcp://127.0.0.1:8081', 'bob');
byId('copy').addEventListener('click', copyCommand);

const source = showSource(byId('source'), 'chat_client.cpp');
const module = loadModule(config);
module.then(showModule, showModuleMissing);

createChat({
  url: webSocketUrl('chat'),
  module,
  onStart: showStart,
  onChange: (connected) => {
    byId('twins').dataset.live = String(connected);
    source.then((view) => view.setRunning(connected));
  },
  onHeard: () => {
    beat('browser');
    source.then((view) => view.ran('room'));
  },
  onSaid: () => {
    beat('browser');
    source.then((view) => view.ran('terminal'));
  },
  onOther: () => beat('native'),
});

createEcho({ url: webSocketUrl('echo') });
