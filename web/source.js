// Shows a C++ source with a little colour, and where the running program is suspended in it.
const kTokens = new RegExp(
  [
    String.raw`(?<comment>//.*)`,
    String.raw`(?<string>"(?:\\.|[^"\\])*"|<[\w./]+>(?=\s*$))`,
    String.raw`(?<await>\bco_(?:await|return|yield)\b)`,
    String.raw`(?<keyword>#include|\b(?:auto|break|char|const|continue|else|for|if|int|namespace|return|throw|using|void|while)\b)`,
    String.raw`(?<type>\b(?:std::\w+|Future|IOStream|Errc)\b)`,
  ].join('|'),
  'g',
);

// The two places where the program waits, once it is in the room.
const kSuspensions = [
  { who: 'room', code: 'co_await room.next_line()', label: 'waits for the room' },
  { who: 'terminal', code: 'co_await terminal.next_line()', label: 'waits for you' },
];

function element(tag, className, text) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

function coloured(line) {
  const nodes = [];
  let end = 0;
  for (const match of line.matchAll(kTokens)) {
    nodes.push(line.slice(end, match.index));
    const [kind] = Object.entries(match.groups).find(([, text]) => text !== undefined);
    nodes.push(element('span', kind, match[0]));
    end = match.index + match[0].length;
  }
  nodes.push(line.slice(end));
  return nodes;
}

async function readText(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  return response.text();
}

export async function showSource(container, url) {
  const places = new Map();
  try {
    const text = await readText(url);
    const list = document.createElement('ol');
    for (const line of text.trimEnd().split('\n')) {
      const item = document.createElement('li');
      const code = document.createElement('span');
      code.append(...coloured(line));
      item.append(code);
      const suspension = kSuspensions.find((each) => line.includes(each.code));
      if (suspension) {
        item.append(element('span', 'waits', suspension.label));
        item.dataset.testid = `waits-${suspension.who}`;
        places.set(suspension.who, item);
      }
      list.append(item);
    }
    container.replaceChildren(list);
  } catch (error) {
    container.replaceChildren(element('p', 'loading', `The source cannot be shown: ${error.message}`));
  }

  return {
    setRunning(running) {
      for (const item of places.values()) item.classList.toggle('suspended', running);
    },
    // That suspension point was just passed.
    ran(who) {
      const item = places.get(who);
      if (!item) return;
      item.classList.remove('ran');
      item.getBoundingClientRect();  // starts the animation anew
      item.classList.add('ran');
    },
  };
}
