"""T2- and PD-weighted scans of the people of the IXI cohort, where there is a network.

The data set publishes each contrast as one archive of some gigabytes. The archive is
not compressed and its server sends parts of it, so that only the scans asked for are
fetched. Whoever is missing from an archive is left out. CC BY-SA 3.0,
brain-development.org/ixi-dataset.
"""

import os
import tarfile

from registration.scans import download, nifti, progress, ranges
from registration.scans.sources import ixi

CONTRASTS = ("T2", "PD")
BASE = "https://biomedic.doc.ic.ac.uk/brain-development/downloads/IXI/"
ARCHIVE, MEMBER = "IXI-{}.tar", "{}-{}.nii.gz"
MAX_BYTES = 60_000_000


def paths(contrast):
    """Return where the scans of a contrast lie, a dict of participant to path.

    Raises:
        ValueError: If the contrast is neither T2 nor PD.
    """
    if contrast not in CONTRASTS:
        raise ValueError(
            f"contrast must be one of {', '.join(CONTRASTS)}. Received: {contrast!r}"
        )
    folder = ixi.folder() / "Nifti" / contrast
    return {one.id: folder / MEMBER.format(one.id, contrast) for one in ixi.subjects()}


def fetch(contrast, names, base=BASE, shown=True):
    """Make sure that some people's scans are in the cache.

    Args:
        contrast: `"T2"` or `"PD"`.
        names: Participants, as `ixi.subjects` names them.
        base: Address of the folder of the archives.
        shown: Whether to draw a progress bar.

    Returns:
        Dict of participant to `pathlib.Path`, without those the archive lacks.

    Raises:
        ValueError: If the contrast or a participant is unknown, or a member is no scan.
        ConnectionError: If the archive cannot be had in parts.
    """
    places = paths(contrast)
    unknown = [name for name in names if name not in places]
    if unknown:
        raise ValueError(f"no such participant in IXI. Received: {unknown}")
    wanted = {
        MEMBER.format(name, contrast): places[name]
        for name in names
        if not places[name].exists()
    }
    if wanted:
        _take_out(download.check_base(base) + ARCHIVE.format(contrast), wanted, shown)
    return {name: places[name] for name in names if places[name].exists()}


def _take_out(url, wanted, shown):
    """Copy members out of an archive on a server, one after the other."""
    bar = progress.bar(len(wanted), "downloading IXI", shown)
    try:
        with (
            ranges.Ranged(url) as remote,
            tarfile.open(fileobj=remote, mode="r:") as tar,
        ):
            for member in tar:
                place = wanted.pop(os.path.basename(member.name), None)
                if place is not None and member.isfile():
                    _check_size(member, url)
                    _keep(tar.extractfile(member).read(), place)
                    bar.update()
                if not wanted:
                    break
    except tarfile.TarError as error:
        raise ConnectionError(f"{url} is no archive: {error}") from error
    finally:
        bar.close()


def _check_size(member, url):
    """Raise for a member that is larger than a scan."""
    if member.size > MAX_BYTES:
        raise ValueError(
            f"{member.name} in {url} is larger than the {MAX_BYTES} bytes allowed. "
            f"Received: {member.size}"
        )


def _keep(content, place):
    """Write a scan; it is there whole or not at all, and can be read."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{download.part_name()}.nii.gz")
    try:
        part.write_bytes(content)
        nifti.load(part)
        os.replace(part, place)
    finally:
        part.unlink(missing_ok=True)
