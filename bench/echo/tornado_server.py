"""The echo server as one writes it with Tornado.  Usage: tornado_server.py [--lines]"""
import asyncio
import sys

from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpserver import TCPServer


class EchoServer(TCPServer):
    async def handle_stream(self, stream, address):
        stream.set_nodelay(True)
        try:
            while True:
                if "--lines" in sys.argv:
                    data = await stream.read_until(b"\n")
                else:
                    data = await stream.read_bytes(65536, partial=True)
                await stream.write(data)
        except StreamClosedError:
            pass


async def main():
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    server = EchoServer()
    server.add_sockets(sockets)
    print(f"listening tcp://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
