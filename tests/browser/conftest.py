"""A headless browser, a JupyterLab with a kernel, and the built site.

Run by `make test-browser`. Without playwright or a Chromium these tests are skipped.
"""

import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from tools import served

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What a page may say on the console although nothing is wrong.
HARMLESS = re.compile(r"ResizeObserver loop|favicon")


class Watched:
    """A page that remembers what went wrong on it and whom it asked."""

    def __init__(self, page):
        """Listen to `page` from now on."""
        self.page, self.errors, self.outside = page, [], []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._request)

    def _console(self, message):
        text = message.text + message.location["url"]
        if message.type == "error" and not HARMLESS.search(text):
            self.errors.append(text)

    def _request(self, request):
        if not re.match(r"(data|blob|about|file):|\w+://127\.0\.0\.1[:/]", request.url):
            self.outside.append(request.url)

    def check(self):
        """Fail if the page reported an error or asked another machine."""
        assert self.errors == []
        assert self.outside == []


@pytest.fixture(scope="session")
def browser():
    """Start Chromium once."""
    sync_api = pytest.importorskip(
        "playwright.sync_api",
        reason="browser tests need playwright: make test-browser",
    )
    path = served.chromium()
    if not path:
        pytest.skip(
            "browser tests need a Chromium on the PATH or named by CHROMIUM; "
            "on Debian: apt-get install chromium"
        )
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=list(served.FLAGS)
        )
        yield chromium
        chromium.close()


def _opener(browser):
    """Yield a function that opens an address at a width, watched."""
    contexts = []

    def open_(address, width=1440, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 1000}, color_scheme=scheme
        )
        contexts.append(context)
        watched = Watched(context.new_page())
        watched.page.goto(address)
        return watched

    yield open_
    for context in contexts:
        context.close()


open_page = pytest.fixture(_opener, name="open_page")
open_module_page = pytest.fixture(_opener, scope="module", name="open_module_page")


def _free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """Start JupyterLab on two notebooks: one to run, one stored and not trusted."""
    from tests.browser import slider_notebook

    folder = tmp_path_factory.mktemp("lab")
    slider_notebook.write(folder, ROOT)
    config = folder / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "page_config.json").write_text(
        '{"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": true}}'
    )
    port = _free_port()
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "REGISTRATION_BUILD": "",
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ip", "127.0.0.1", "--port", str(port), "--notebook-dir", str(folder)),
        *("--IdentityProvider.token", "", "--expose-app-in-browser"),
    ]
    log = (folder / "lab.log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api", server, folder / "lab.log")
        yield f"{address}/lab/tree"
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def _wait_for(address, server, log, seconds=60):
    """Return once a server answers; raise with its log if it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def site(browser):
    """Serve build/site on this machine and return its address."""
    if not (served.SITE / "index.html").exists():
        pytest.skip("the site has not been built: make site")
    server = served.Server()
    yield server.address
    server.stop()
