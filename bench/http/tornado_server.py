"""'Hello, World!' as one writes it with Tornado: its HTTPServer alone, without the web layer."""
import asyncio

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, ResponseStartLine, format_timestamp
from tornado.netutil import bind_sockets

import time


def hello(request):
    headers = HTTPHeaders({"Server": "tornado", "Date": format_timestamp(time.time()),
                           "Content-Type": "text/plain", "Content-Length": "13"})
    request.connection.write_headers(ResponseStartLine("HTTP/1.1", 200, "OK"), headers, b"Hello, World!")
    request.connection.finish()


async def main():
    sockets = bind_sockets(0, "127.0.0.1", backlog=1024)
    server = HTTPServer(hello)
    server.add_sockets(sockets)
    print(f"listening http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
