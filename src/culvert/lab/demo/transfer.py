"""A file, fetched by HTTP from one host of a lab to another."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from culvert.lab.host import Host

PORT = 8080
PATIENCE_S = 20.0


@contextmanager
def served(host: Host, address: str, content: bytes) -> Iterator[None]:
    """Serve `content` at every path of http://address:8080/ while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((address, PORT), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.socket.bind((address, PORT))
    server.server_activate()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def fetch(host: Host, address: str) -> bytes:
    """Get the file from `host`. Raise OSError where it does not come within PATIENCE_S seconds of silence."""
    connection = HTTPConnection(address, PORT, timeout=PATIENCE_S)
    connection.sock = host.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.sock.settimeout(PATIENCE_S)
    connection.sock.connect((address, PORT))
    try:
        connection.request("GET", "/")
        return connection.getresponse().read()
    finally:
        connection.close()
