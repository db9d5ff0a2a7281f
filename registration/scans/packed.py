"""Write NIfTI files; those that end in .gz are packed on every core.

A field of displacements at 1 mm is 200 MB of numbers that hardly shrink: packing it is
most of what writing takes. The blocks of a gzip can be packed side by side and still
make one member, which every reader unpacks as it always did.
"""

import collections
import concurrent.futures
import io
import os
import struct
import zlib

import nibabel

BLOCK = 2**20
LEVEL = 1
CORES = min(4, os.cpu_count() or 1)
# Magic, deflate, no name, no date, of an unknown system.
HEAD = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
END = b"\x03\0"


class Gzip(io.BufferedIOBase):
    """A gzip file that can only be written, from its beginning to its end.

    Args:
        path: The file; what was there is replaced.
    """

    def __init__(self, path):
        self._file, self._block = open(path, "wb"), bytearray()
        self._pool = concurrent.futures.ThreadPoolExecutor(CORES)
        self._waiting = collections.deque()
        self._size, self._sum = 0, 0
        self._file.write(HEAD)

    def writable(self):
        """Say that it can be written."""
        return True

    def tell(self):
        """Return how many bytes were written, before packing."""
        return self._size

    def seek(self, offset, whence=io.SEEK_SET):
        """Go on, over zeros, to a place that is not before this one."""
        if whence != io.SEEK_SET or offset < self._size:
            raise io.UnsupportedOperation(
                f"a gzip is written from its beginning to its end. Received: {offset}"
            )
        self.write(bytes(offset - self._size))
        return self._size

    def write(self, data):
        """Take bytes; they are packed and written while others are prepared."""
        data = memoryview(data).cast("B")
        self._sum = zlib.crc32(data, self._sum)
        self._size += len(data)
        self._block += data
        while len(self._block) >= BLOCK:
            self._send(BLOCK)
        return len(data)

    def close(self):
        """Write what is left, and how much it was."""
        if self.closed:
            return
        try:
            self._send(len(self._block))
            while self._waiting:
                self._file.write(self._waiting.popleft().result())
            self._file.write(END + struct.pack("<II", self._sum, self._size % 2**32))
        finally:
            self._pool.shutdown(cancel_futures=True)
            self._file.close()
            super().close()

    def _send(self, size):
        """Give a block to a core; wait for the oldest one where many are waiting."""
        block = bytes(self._block[:size])
        del self._block[:size]
        self._waiting.append(self._pool.submit(_deflated, block))
        while len(self._waiting) > 2 * CORES:
            self._file.write(self._waiting.popleft().result())


def save(image, path):
    """Write an image of nibabel.

    Args:
        image: `nibabel.Nifti1Image`.
        path: Where to, `.nii` or `.nii.gz`.
    """
    if not str(path).endswith(".gz"):
        nibabel.save(image, path)
        return
    with Gzip(path) as file:
        image.to_stream(file)


def _deflated(block):
    """Pack a block so that others may follow it in the same stream."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)
