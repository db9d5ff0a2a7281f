"""A file on a server that is read a piece at a time, where the server allows it."""

import io

import requests

from registration.scans import download


class Ranged(io.RawIOBase):
    """Read any part of a file on a server, as a file that is open here.

    Only what is read is sent, so that one member of a large archive can be had
    without the others.

    Args:
        url: `https://...`, or http on this machine.

    Raises:
        ValueError: If the address is not allowed.
        ConnectionError: If the server cannot be reached, or sends whole files only.
    """

    def __init__(self, url):
        self.url = download.check_base(url).rstrip("/")
        self._place = 0
        self._session = requests.Session()
        answer = self._ask(0, 1)
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        if not total.isdecimal():
            raise ConnectionError(f"{url} does not say how large it is")
        self.size = int(total)

    def _ask(self, start, count):
        """Return the answer to a request for some bytes."""
        headers = {"Range": f"bytes={start}-{start + count - 1}"}
        headers["Accept-Encoding"] = "identity"
        try:
            answer = self._session.get(
                self.url,
                headers=headers,
                timeout=download.TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            )
        except requests.RequestException as error:
            raise ConnectionError(f"{self.url} cannot be reached: {error}") from error
        if answer.status_code != 206:
            answer.close()
            raise ConnectionError(
                f"{self.url} does not send parts of a file. "
                f"Received: {answer.status_code}"
            )
        return answer

    def readable(self):
        """Return True."""
        return True

    def seekable(self):
        """Return True."""
        return True

    def tell(self):
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset, whence=io.SEEK_SET):
        """Go to a place; nothing is sent."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}
        self._place = max(0, start[whence] + offset)
        return self._place

    def readinto(self, buffer):
        """Fill a buffer, or as much of it as the file still holds."""
        count = min(len(buffer), self.size - self._place)
        if count <= 0:
            return 0
        with self._ask(self._place, count) as answer:
            try:
                content = answer.raw.read(count, decode_content=False)
            except Exception as error:
                raise ConnectionError(f"{self.url} broke off: {error}") from error
        if len(content) < count:
            raise ConnectionError(
                f"{self.url} broke off. Received: {len(content)} of {count} bytes"
            )
        buffer[:count] = content
        self._place += count
        return count

    def close(self):
        """Let the connection go."""
        if not self.closed:
            self._session.close()
        super().close()
