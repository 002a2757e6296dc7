// "Hello, World!" as one writes it in Node.js.
import { createServer } from 'node:http';

const headers = { 'Content-Type': 'text/plain', 'Content-Length': 13, Server: 'node' };
const server = createServer((request, response) => {
  response.writeHead(200, headers);
  response.end('Hello, World!');
});
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', 1024, () => console.log(`listening http://127.0.0.1:${server.address().port}`));
