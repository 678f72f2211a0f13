"""A proxy in a process of its own, which a test can kill: passes requests on, and says before each what is asked.

    python passing_proxy.py SERVER PORT FOLDER

It says `PORT` when it listens. Each question is kept in the folder, headers and body, before `asked NUMBER` is said,
and passed on when a line comes by the standard input. Where the server does not answer, the client's connection is
closed.
"""

import http.client
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Proxy(ThreadingHTTPServer):
    """Requests come one at a time."""

    daemon_threads = True

    def __init__(self, server, port, folder):
        super().__init__(("127.0.0.1", port), Handler)
        self.upstream, self.folder = server, folder

    def handle_error(self, request, client_address):
        """A client or server that is killed is what is tested."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self.forward(b"")

    def do_POST(self):
        body, folder = self.rfile.read(int(self.headers["Content-Length"])), self.server.folder
        number = len(list(folder.glob("*.body")))
        (folder / f"{number}.headers").write_text(json.dumps(dict(self.headers.items())))
        (folder / f"{number}.body").write_bytes(body)
        say(f"asked {number}")
        sys.stdin.readline()
        self.forward(body)

    def forward(self, body):
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        connection.request(self.command, self.path, body or None, dict(self.headers.items()))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name not in ("Server", "Date"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def say(line):
    """A line to whoever started this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    proxy = Proxy(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
    say(proxy.server_address[1])
    proxy.serve_forever(poll_interval=0.05)
