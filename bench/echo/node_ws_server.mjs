// The WebSocket echo server as one writes it in Node.js with ws.
import { createRequire } from 'node:module';

const { WebSocketServer } = createRequire(new URL('../../bindings/js/package.json', import.meta.url))('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
server.on('connection', (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })));
server.on('listening', () => console.log(`listening ws://127.0.0.1:${server.address().port}/`));
