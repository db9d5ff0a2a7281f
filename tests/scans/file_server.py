"""A server on this machine that hands out files, well or badly."""

import contextlib
import http.server
import pathlib
import threading
import time
import urllib.parse


class FileServer(http.server.ThreadingHTTPServer):
    """Serve a folder under a path; `faults` names files to be served badly."""

    daemon_threads = True

    def __init__(self, folder, path="/"):
        """Listen on a free port of the loopback interface."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.path = pathlib.Path(folder), path
        self.faults, self.delay_seconds, self.gone_after = {}, 0.0, None
        self.asked = []
        self.counting = threading.Lock()

    @property
    def base(self):
        """Return the address of the folder."""
        return f"http://127.0.0.1:{self.server_port}{self.path}"

    def handle_error(self, request, client_address):
        """Keep quiet about clients that go away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        """Keep quiet."""

    def do_GET(self):  # noqa: N802
        """Answer with a file or with the fault asked for."""
        server = self.server
        with server.counting:
            name = urllib.parse.unquote(self.path).removeprefix(server.path)
            server.asked.append(name)
            number = len(server.asked)
        if server.gone_after is not None and number > server.gone_after:
            self.close_connection = True
            self.connection.close()
            return
        fault = server.faults.get(name)
        if callable(fault):
            fault = fault()
        path = server.folder / name
        if fault == "redirect":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            return
        if fault in (404, 500, 503) or not path.is_file():
            self.send_error(fault or 404)
            return
        content = bytearray(path.read_bytes())
        if fault == "corrupt":
            content[len(content) // 2] ^= 0xFF
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = len(content) // 2
        self.wfile.write(content[:half])
        self.wfile.flush()
        time.sleep(server.delay_seconds)
        if fault == "stall":
            time.sleep(5)
        if fault not in ("cut", "stall"):
            self.wfile.write(content[half:])


@contextlib.contextmanager
def serving(folder, path="/"):
    """Serve a folder while the block runs.

    Args:
        folder: What to serve.
        path: Where it stands in the address, beginning and ending with a slash.

    Yields:
        The `FileServer`.
    """
    server = FileServer(folder, path)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
