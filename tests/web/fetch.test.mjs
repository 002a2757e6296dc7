// AsyncHTTPClient in wasm, over the fetch() of Node and of headless Chromium, against a server of Node's on another origin.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { demo, runInPage, runWasm, startBrowser, wasmFile } from './support.mjs';

const kAllow = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Headers': 'X-Own, Authorization, Content-Type',
  'Access-Control-Allow-Methods': '*',
  'Access-Control-Expose-Headers': '*, X-Method, X-Own-Came, Content-Encoding',
  'Cache-Control': 'no-store',
};
const kPoured = 50_000_000;
const gone = new Map(); // path: how many of its clients left before their answer was whole
let poured = 0;

function watch(path, request, response) {
  response.once('close', () => response.writableFinished || gone.set(path, (gone.get(path) ?? 0) + 1));
}

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function pour(response) {
  const block = Buffer.alloc(100_000);
  poured = 0;
  response.writeHead(200, { 'Content-Length': kPoured });
  const more = () => {
    while (poured < kPoured) {
      poured += block.length;
      if (!response.write(block)) return response.once('drain', more);
    }
    return response.end();
  };
  more();
}

const answers = {
  '/hello': (request, response) => {
    response.setHeader('Content-Type', 'text/plain');
    response.end(`hello ${request.method} ${request.url}`);
  },
  '/echo': async (request, response) => {
    response.setHeader('X-Method', request.method);
    response.setHeader('X-Own-Came', request.headers['x-own'] ?? '');
    response.end(await body(request));
  },
  '/authorization': (request, response) => response.end(request.headers.authorization ?? ''),
  '/gzip': (request, response) => {
    response.setHeader('Content-Encoding', 'gzip');
    response.end(gzipSync('z'.repeat(10_000)));
  },
  '/short': (request, response) => {
    response.writeHead(200, { 'Content-Length': 100 });
    response.write('short', () => response.destroy());
  },
  '/never': () => {},
  '/hang': () => {},
  '/trickle': (request, response) => {
    response.writeHead(200, { 'Content-Length': 100 });
    response.write('first');
  },
  '/gone': (request, response) => response.end(String(gone.get(new URL(request.url, 'http://x').searchParams.get('of')) ?? 0)),
  '/pour': (request, response) => pour(response),
  '/poured': (request, response) => response.end(String(poured)),
};

function answer(request, response) {
  for (const [name, value] of Object.entries(kAllow)) response.setHeader(name, value);
  const { pathname } = new URL(request.url, 'http://x');
  watch(pathname, request, response);
  if (request.method === 'OPTIONS') return response.writeHead(204).end();
  const status = Number(/^\/status\/(\d+)$/.exec(pathname)?.[1] ?? 0);
  if (status) return response.writeHead(status).end(status === 204 ? undefined : `status ${status}`);
  const redirect = Number(/^\/redirect\/(\d+)$/.exec(pathname)?.[1] ?? 0);
  if (redirect) return response.writeHead(redirect, { Location: '/hello' }).end();
  return (answers[pathname] ?? ((_, r) => r.writeHead(404).end()))(request, response);
}

// What a page of the test is made of.
async function servePage(request, response) {
  const path = new URL(request.url, 'http://x').pathname;
  if (path === '/') return response.setHeader('Content-Type', 'text/html').end('<!doctype html><link rel="icon" href="data:,">');
  const file = path.startsWith('/twinloop/') ? join(demo, path) : wasmFile(path.slice(1));
  response.setHeader('Content-Type', path.endsWith('.wasm') ? 'application/wasm' : 'text/javascript');
  return response.end(await readFile(file));
}

async function listen(handler) {
  const server = http.createServer((request, response) => void Promise.resolve(handler(request, response)).catch((error) => response.destroy(error)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

let api, site;

before(async () => {
  api = await listen(answer);
  site = await listen(servePage);
});

after(() => {
  for (const { server } of [api, site]) {
    server.close();
    server.closeAllConnections();
  }
});

async function report(t, { status, output, error }) {
  const lines = output.split('\n');
  const planned = Number(/^1\.\.(\d+)$/.exec(lines[0] ?? '')?.[1] ?? 0);
  assert.ok(planned > 10, `the plan says ${lines[0]}; ${error}`);
  let seen = 0;
  for (const [index, line] of lines.entries()) {
    const result = /^(not )?ok \d+ - (.*)$/.exec(line);
    if (!result) continue;
    seen += 1;
    await t.test(result[2], () => assert.ok(!result[1], lines[index + 1]));
  }
  assert.equal(seen, planned, 'every planned behaviour reported');
  assert.equal(status, 0, error);
}

test("the HTTP client over Node's fetch()", async (t) => {
  gone.clear();
  await report(t, await runWasm('fetch_behaviours', [api.url], ''));
});

test("the HTTP client over Chromium's fetch()", async (t) => {
  gone.clear();
  const browser = await startBrowser();
  try {
    const page = await browser.context.newPage();
    await page.goto(site.url);
    await report(t, await runInPage(page, 'fetch_behaviours', [api.url], ''));
  } finally {
    await browser.stop();
  }
});

test('a page that may not read an answer (CORS) is told what that may be', async () => {
  const closed = await listen((request, response) => response.end('secret'));
  const browser = await startBrowser();
  try {
    const page = await browser.context.newPage();
    await page.goto(site.url);
    const { status, output } = await runInPage(page, 'http_get', [closed.url], '');
    assert.equal(status, 1);
    assert.match(output, /allow this page's origin \(CORS\)/);
  } finally {
    await browser.stop();
    closed.server.close();
    closed.server.closeAllConnections();
  }
});

test('http_get in wasm prints status, headers and body', async () => {
  const { status, output } = await runWasm('http_get', [`${api.url}/hello`], '');
  assert.equal(status, 0);
  assert.match(output, /^200 OK\n[^]*content-type: text\/plain\n[^]*\n\nhello GET \/hello\n$/);
});
