// The demo page: two tabs and a terminal in one room, messages in every direction, no console error, and a screenshot.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { bin, demo, root, startBrowser, startServer, within } from './support.mjs';

const artefacts = join(root, 'build/artefacts');
let server, browser, http, tcp, ada, bob, terminal;

before(async () => {
  await mkdir(artefacts, { recursive: true });
  server = await startServer('chat_server', ['--port', '0', '--chat-port', '0', '--web-root', demo], 2);
  http = server.urls.find((url) => url.startsWith('http:'));
  tcp = server.urls.find((url) => url.startsWith('tcp:'));
  browser = await startBrowser();
});

after(async () => {
  terminal?.process.kill();
  await browser?.stop();
  await server?.stop();
});

async function openTab(name) {
  const page = await browser.context.newPage();
  await page.goto(`${http}?name=${name}`);
  await page.locator('#state[data-state=connected]').waitFor();
  return page;
}

function startTerminal(name) {
  const child = spawn(bin('chat_client'), [tcp, name], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  const waiting = [];
  child.stdout.on('data', (chunk) => {
    text += chunk;
    for (const check of waiting) check();
  });
  const seen = (part) =>
    within(new Promise((done) => {
      const check = () => text.includes(part) && done();
      waiting.push(check);
      check();
    }), `the terminal shows '${part}'`);
  return { process: child, seen, say: (line) => child.stdin.write(`${line}\n`) };
}

const say = async (page, text) => {
  await page.locator('#message').fill(text);
  await page.locator('#message').press('Enter');
};
const shows = (page, line) => page.locator(`#log [data-line="${line}"]`).waitFor();

test('two tabs and a terminal client meet in one room', async () => {
  ada = await openTab('ada');
  bob = await openTab('bob');
  terminal = startTerminal('tom');
  await terminal.seen('welcome tom (3 here)');
  await shows(ada, 'joined bob');
  await shows(ada, 'joined tom');
});

test('messages cross in every direction', async () => {
  await say(ada, 'from the first tab');
  await say(bob, 'from the second tab');
  terminal.say('from the terminal');
  for (const line of ['ada: from the first tab', 'bob: from the second tab', 'tom: from the terminal']) {
    await Promise.all([shows(ada, line), shows(bob, line), terminal.seen(line)]);
  }
});

test('the page shows the source, the size and a live round-trip time', async () => {
  await ada.bringToFront();
  assert.match(await ada.locator('#source').innerText(), /co_await/);
  await ada.waitForFunction(() => Number.parseFloat(document.getElementById('rtt-p50').textContent) >= 0);
  await ada.waitForFunction(() => Number.parseInt(document.getElementById('rtt-count').textContent, 10) >= 40);
  assert.ok(Number.parseFloat(await ada.locator('#module-raw').innerText()) > 1);
});

test('the trace of the program is a file for Perfetto that shows what its loop did', async () => {
  const [download] = await Promise.all([ada.waitForEvent('download'), ada.getByTestId('save-trace').click()]);
  assert.equal(download.suggestedFilename(), 'twinloop-trace.json');
  const file = join(artefacts, 'page-trace.json');
  await download.saveAs(file);
  const { traceEvents } = JSON.parse(await readFile(file, 'utf8'));
  assert.match(traceEvents[0].args.name, /browser/);
  const resumed = traceEvents.filter((event) => event.cat === 'coroutine');
  assert.ok(resumed.some((event) => /^chat_client\.cpp:\d+$/.test(event.name)), 'a co_await of chat_client.cpp is named');
  assert.ok(traceEvents.every((event) => event.ph === 'M' || event.dur >= 0));
});

test('it has no horizontal scroll bar on a phone, and works from the keyboard', async () => {
  await bob.bringToFront();
  await bob.setViewportSize({ width: 320, height: 640 });
  assert.equal(await bob.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true);
  await bob.locator('#message').focus();
  await bob.keyboard.type('typed and sent with Enter');
  await bob.keyboard.press('Enter');
  await shows(ada, 'bob: typed and sent with Enter');
});

test('a screenshot is kept, light and dark', async () => {
  await ada.bringToFront();
  await ada.screenshot({ path: join(artefacts, 'page-light.png'), fullPage: true });
  await ada.emulateMedia({ colorScheme: 'dark' });
  await ada.screenshot({ path: join(artefacts, 'page-dark.png'), fullPage: true });
  await bob.bringToFront();
  await bob.screenshot({ path: join(artefacts, 'page-phone.png'), fullPage: true });
});

test('a member who leaves is announced', async () => {
  terminal.say('/quit');
  const [status] = await within(once(terminal.process, 'exit'), 'the terminal ends');
  assert.equal(status, 0);
  await shows(ada, 'left tom');
  await bob.close();
  await shows(ada, 'left bob');
});

test('no page wrote an error to the console', () => assert.deepEqual(browser.complaints, []));
