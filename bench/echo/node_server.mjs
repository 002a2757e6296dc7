// The echo server as one writes it in Node.js.  Usage: node node_server.mjs [--lines]
import { createServer } from 'node:net';

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

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  (lines ? echoLines : echoBytes)(socket);
});
server.listen(0, '127.0.0.1', 1024, () => console.log(`listening tcp://127.0.0.1:${server.address().port}`));
