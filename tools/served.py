"""The built site on a port of this machine, and the Chromium that opens it."""

import functools
import http.server
import os
import pathlib
import shutil
import threading

SITE = pathlib.Path(__file__).resolve().parents[1] / "build" / "site"
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    # WebGL without a graphics card.
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium():
    """Return the path of a Chromium: what CHROMIUM names, or one on the PATH, or ""."""
    found = filter(None, map(shutil.which, NAMES))
    return os.environ.get("CHROMIUM") or next(found, "")


class Server(http.server.ThreadingHTTPServer):
    """Serve a folder until `stop`, in a thread of its own.

    Attributes:
        sent: Dict of the paths that were asked for, with the bytes of each answer.
        address: Where it is, without a slash at the end.
    """

    def __init__(self, folder=SITE):
        self.sent = sent = {}

        class Handler(http.server.SimpleHTTPRequestHandler):
            """Remember the size of every answer, and print nothing."""

            def copyfile(self, source, target):
                """Send a file."""
                sent[self.path] = len(source.read())
                source.seek(0)
                super().copyfile(source, target)

            def log_message(self, *arguments):
                """Print nothing."""

        handler = functools.partial(Handler, directory=str(folder))
        super().__init__(("127.0.0.1", 0), handler)
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        """Answer no more."""
        self.shutdown()
        self.server_close()
