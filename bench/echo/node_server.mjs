// The echo server as one writes it in Node.js.  Usage: node node_server.mjs [--lines] | --tls CERTIFICATE KEY
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';

const lines = process.argv.includes('--lines');

const echoLines = (socket) => {
  let partial = '';
  socket.setEncoding('latin1');
  socket.on('data', (text) => {
    const pieces = (partial + text).split('\n');
    partial = pieces.pop();
    for (const line of pieces) socket.write(`${line}\n`, 'latin1');
  });
};

const echoBytes = (socket) => socket.on('data', (bytes) => socket.write(bytes));

const serve = (socket) => {
  socket.on('error', () => {});
  (lines ? echoLines : echoBytes)(socket);
};

const [option, certificate, key] = process.argv.slice(2);
const server = option === '--tls'
  ? createTlsServer({ noDelay: true, cert: readFileSync(certificate), key: readFileSync(key) }, serve)
  : createServer({ noDelay: true }, serve);
server.listen(0, '127.0.0.1', 1024, () => console.log(`listening tcp://127.0.0.1:${server.address().port}`));
