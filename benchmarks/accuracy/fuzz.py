"""Give the reader of scans files that are broken at random: what does it do?

`python -m benchmarks.accuracy.fuzz`. 10,000 NIfTI files with a spoiled header and 1,000
spoiled gzip streams go through `registration.inputs.scan`, as the command reads them. A
file is either read or refused in one line that ends in what was received. Anything
else, a crash of the process, more seconds or more memory than allowed, is counted by
itself and printed with its seed, by which `spoiled` makes the file again.
"""

import argparse
import gzip
import io
import multiprocessing
import pathlib
import resource
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import nibabel
import numpy as np
import pandas

from benchmarks import jobs
from registration import inputs
from registration.mendable import InputError

SHAPE = (12, 10, 8)
COUNTS = {"header": 10_000, "gzip": 1_000}
SECONDS, MEGABYTES = 5.0, 256
COLUMNS = ("file", "how", "files", "read", "refused", "other", "slowest_s", "most_mb")
EXTREME = (0, 1, -1, 2, 127, -128, 255, 32767, -32768, 65535, 2**31 - 1, -(2**31))
FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e38, -1e38, np.inf, -np.inf, np.nan, 0.5, 352.0)
# Where the fields lie that say how a NIfTI-1 file is to be read, and their types.
FIELDS = {
    "sizeof_hdr": (0, "i"), "dim": (40, "8h"), "datatype": (70, "h"),
    "bitpix": (72, "h"), "pixdim": (76, "8f"), "vox_offset": (108, "f"),
    "scl_slope": (112, "f"), "scl_inter": (116, "f"), "xyzt_units": (123, "B"),
    "qform_code": (252, "h"), "sform_code": (254, "h"), "quaternion": (256, "6f"),
    "srow": (280, "12f"), "magic": (344, "4B"),
}  # fmt: skip
# Of what a gzip can be made to unpack to.
BOMB = 400 * 2**20


def sound():
    """Return the bytes of a small file that can be read."""
    data = np.random.default_rng(0).integers(0, 1000, SHAPE).astype("int16")
    image = nibabel.Nifti1Image(data, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_xyzt_units("mm")
    return image.to_bytes()


def flipped(rng, data):
    """Flip some bits."""
    data = bytearray(data)
    last = 352 if rng.random() < 0.8 else len(data)
    for place in rng.integers(0, min(last, len(data)), rng.integers(1, 9)):
        data[place] ^= 1 << rng.integers(8)
    return bytes(data)


def extreme(rng, data):
    """Set some fields of the header to values at the ends of their ranges."""
    data = bytearray(data)
    for name in rng.choice(list(FIELDS), rng.integers(1, 4), replace=False):
        start, kind = FIELDS[name]
        letter, count = kind[-1], int(kind[:-1] or 1)
        size = struct.calcsize(letter)
        place = start + size * int(rng.integers(count))
        if letter == "f":
            value = struct.pack("<f", rng.choice(FLOATS))
        else:
            number = int(rng.choice(EXTREME)) % 2 ** (8 * size)
            value = number.to_bytes(size, "little")
        data[place : place + size] = value
    return bytes(data)


def truncated(rng, data):
    """Cut the end off."""
    return data[: rng.integers(len(data))]


def swapped(rng, data):
    """Put a piece of the file in the place of another."""
    data, size = bytearray(data), int(rng.integers(1, 64))
    one, other = rng.integers(0, 352 - size, 2)
    data[one : one + size] = data[other : other + size]
    return bytes(data)


def noise(rng, data):
    """Write noise behind the magic number's sizes, or everywhere."""
    made = bytearray(rng.bytes(len(data)))
    if rng.random() < 0.7:
        made[:4], made[344:348] = data[:4], data[344:348]
    return bytes(made)


def damaged(rng, data):
    """Flip some bits of the packed file."""
    packed = bytearray(gzip.compress(data))
    for place in rng.integers(0, len(packed), rng.integers(1, 9)):
        packed[place] ^= 1 << rng.integers(8)
    return bytes(packed)


def cut(rng, data):
    """Cut the end of the packed file off."""
    packed = gzip.compress(data)
    return packed[: rng.integers(2, len(packed))]


def followed(rng, data):
    """Put noise, zeros or another packed file behind the packed one."""
    behind = rng.bytes(rng.integers(1, 99)), bytes(rng.integers(1, 99)), b"\x1f\x8b"
    more = (*behind, gzip.compress(data))
    return gzip.compress(data) + more[rng.integers(len(more))]


def spoiled_within(rng, data):
    """Pack a file whose header is spoiled."""
    return gzip.compress((flipped, extreme, truncated)[rng.integers(3)](rng, data))


def bomb(rng, data):
    """Pack a few megabytes of zeros into kilobytes, once 400, behind a sound header."""
    size = BOMB if rng.random() < 0.02 else int(rng.integers(2**20, 2**23))
    data = bytearray(data)
    if rng.random() < 0.5:
        # The header claims what there is not: 1024 × 1024 × 64 voxels and more.
        shape = (3, 1024, 1024, int(rng.integers(64, 512)), 1, 1, 1, 1)
        data[40:56] = struct.pack("<8h", *shape)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(data[:352])
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
    return packed.getvalue()


WAYS = {
    "header": {w.__name__: w for w in (flipped, extreme, truncated, swapped, noise)},
    "gzip": {w.__name__: w for w in (damaged, cut, followed, spoiled_within, bomb)},
}


def spoiled(file, how, seed):
    """Make a spoiled file.

    Args:
        file: `"header"` or `"gzip"`.
        how: One of `WAYS[file]`.
        seed: Number of the case.

    Returns:
        bytes and the ending of the file's name.
    """
    way = WAYS[file][how]
    data = way(np.random.default_rng((len(how), seed)), sound())
    return data, ".nii.gz" if file == "gzip" else ".nii"


def outcome(path):
    """Read a file as the command does; say what came of it.

    Args:
        path: The file.

    Returns:
        `"read"`, `"refused"`, or in words what should not have been.
    """
    try:
        scan = inputs.scan(path)
    except InputError as error:
        text = str(error)
        if "\n" in text or "Received:" not in text or str(path) not in text:
            return f"a message that does not help: {text!r}"
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    sound = np.isfinite(scan.image).all() and np.isfinite(scan.affine).all()
    return "read" if sound else "read, and not finite"


def _work(file, how, seeds, told):
    """Read one spoiled file after the other in a process of little memory."""
    most = _resident() + MEGABYTES
    resource.setrlimit(resource.RLIMIT_DATA, (_data() + MEGABYTES * 2**20,) * 2)
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            data, ending = spoiled(file, how, seed)
            path = pathlib.Path(folder, f"case{ending}")
            path.write_bytes(data)
            told.send((seed, None, 0.0, 0.0))
            before, started = _resident(), time.monotonic()
            what = outcome(path)
            seconds, now = time.monotonic() - started, _resident()
            what = what if now < most else f"{now:.0f} MB are held"
            told.send((seed, what, seconds, max(0.0, now - before)))
    told.close()


def _status(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def _resident():
    """Return the most megabytes that this process has held."""
    return _status("VmHWM")


def _data():
    return int(_status("VmData") * 2**20)


def row(file, how, count):
    """Read so many spoiled files; return a row of the table.

    Args:
        file: `"header"` or `"gzip"`.
        how: One of `WAYS[file]`.
        count: How many.

    Returns:
        Dict of `COLUMNS`.
    """
    found, slowest, most = {"read": 0, "refused": 0, "other": 0}, 0.0, 0.0
    first, context = 0, multiprocessing.get_context("spawn")
    while first < count:
        here, there = context.Pipe(duplex=False)
        seeds = range(first, count)
        worker = context.Process(target=_work, args=(file, how, seeds, there))
        worker.start()
        there.close()
        at, what = first, "no start"
        try:
            while here.poll(SECONDS if at > first else 60):
                at, what, seconds, mb = here.recv()
                if what is None:
                    continue
                slowest, most = max(slowest, seconds), max(most, mb)
                found[what if what in found else "other"] += 1
                if what not in found:
                    print(f"{file} {how} {at}: {what}")
            print(f"{file} {how} {at}: more than {SECONDS} seconds")
            found["other"] += 1
        except EOFError:
            if what is None or what == "no start":
                worker.join(1)
                print(f"{file} {how} {at}: ended with {worker.exitcode}")
                found["other"] += 1
        worker.kill()
        worker.join()
        first = at + 1
    keys = {"file": file, "how": how, "files": count}
    return keys | found | {"slowest_s": slowest, "most_mb": most}


def main(argv=None):
    """Measure every way and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=pathlib.Path, default=jobs.RESULTS / "fuzz.csv")
    parser.add_argument("--share", type=float, default=1.0, help="of the files")
    options = parser.parse_args(argv)
    rows = [
        row(file, how, round(COUNTS[file] / len(ways) * options.share))
        for file, ways in WAYS.items()
        for how in ways
    ]
    table = pandas.DataFrame(rows, columns=COLUMNS)
    table.round({"slowest_s": 3, "most_mb": 0}).to_csv(options.csv, index=False)
    return int(table["other"].sum() > 0)


if __name__ == "__main__":
    sys.exit(main())
