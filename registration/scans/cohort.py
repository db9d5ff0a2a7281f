"""Load a cohort of T1-weighted head scans on one common grid."""

import concurrent.futures

from registration.scans import grid as grids
from registration.scans import progress as bars
from registration.scans import splits, subjects
from registration.scans.sources import choice as sources
from registration.scans.sources.simulated import subject as simulate
from registration.scans.sources.simulated import template

WORKERS = 2
MOST_PRINTED = 5


def load(
    source="auto",
    voxel_mm=2.0,
    skull=True,
    limit=None,
    progress=True,
    folder=None,
    fixed=None,
    seed=0,
    strict=False,
    align="affines",
    brain=None,
):
    """Load head scans on one common grid, and say in one line which and why.

    The sources are

    - `"ixi"`: 151 real heads, 2 mm, with skull and label maps, from the cache or
      downloaded into it;
    - `"folder"`: a reader's own files; see `helpers.data.folder.find`;
    - `"openneuro"`: real heads of 1 mm with masks and label maps, downloaded;
      about 20 MB a subject;
    - `"simulated"`: heads made here, with known transforms between them;
    - `"auto"`: what the variable `REGISTRATION_SOURCE` says, else `"ixi"`, else
      `"simulated"` where the scans cannot be had.

    The common grid is centred on that of the fixed scan, its axes are right,
    anterior, superior, and its sides are multiples of 16 voxels. Scans are brought
    onto it through their own affines. `REGISTRATION_DATA` names the cache folder.

    Args:
        source: One of the names above.
        voxel_mm: Edge of a voxel of the common grid.
        skull: False sets everything outside the brain to zero.
        limit: The most scans to train on, or a dict with `train` and `test`. None
            means all; of the simulated 40 and 10, of OpenNeuro's 125 and 25.
        progress: Whether to draw a progress bar.
        folder: For `"folder"`, where to look; `REGISTRATION_FOLDER` when None.
        fixed: For `"folder"`, the id of the fixed scan; the first when None.
        seed: Of the simulation, and of the deal of a folder's scans.
        strict: True raises at the first bad file; False leaves that scan out and
            lists it in `problems`.
        align: `"affines"` trusts world coordinates; `"centres"` moves the centre of
            every scan to that of the grid.

    Returns:
        A `splits.Cohort` with `fixed`, `train` and `test`.

    Raises:
        ValueError: If an argument or, with `strict`, a file cannot be used.
        ConnectionError: If the files of the source asked for could not be had.
    """
    if align not in ("affines", "centres"):
        raise ValueError(f"align must be 'affines' or 'centres'. Received: {align!r}")
    found = sources.find(source, limit, folder, fixed, seed, progress)
    problems = list(found.missing)
    chosen = list(found.records)
    if found.name == "simulated":
        grid = simulate.grid(voxel_mm)
        template.load()

        def load_one(record):
            return subjects.simulated(record, seed, grid, skull)

    else:
        may_replace = found.name == "folder" and fixed is None and not strict
        first = _read_fixed(chosen, skull, may_replace, problems, brain)
        grid = grids.around(grids.Grid(first.image.shape, first.affine), voxel_mm)

        def load_one(record):
            return subjects.on_grid(record, subjects.read(record, skull, brain), grid, align, brain)

    loaded = _load_all(chosen, load_one, progress, strict, problems)
    made = splits.Cohort(found.name, found.why, grid, loaded, skull, problems)
    print(made.note)
    for name, problem in problems[:MOST_PRINTED]:
        print(f"  left out {name}: {problem}")
    return made


def _read_fixed(chosen, skull, may_replace, problems, brain=None):
    """Read the fixed scan; a bad one gives way to the next where that is allowed."""
    while True:
        place = next(i for i, record in enumerate(chosen) if record.split == "fixed")
        try:
            return subjects.read(chosen[place], skull, brain)
        except ValueError as error:
            if not may_replace or len(chosen) < 4:
                raise
            problems.append((chosen.pop(place).id, str(error)))
            place = next(i for i, r in enumerate(chosen) if r.split == "train")
            chosen[place] = chosen[place]._replace(split="fixed")


def _load_all(chosen, load_one, shown, strict, problems):
    """Load every subject, two at a time, listing those that are refused."""
    loaded = []
    bar = bars.bar(len(chosen), "loading scans", shown)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(load_one, record) for record in chosen]
        for record, job in zip(chosen, jobs, strict=True):
            try:
                loaded.append(job.result())
            except ValueError as error:
                if strict or record.split == "fixed":
                    pool.shutdown(cancel_futures=True)
                    bar.close()
                    raise
                problems.append((record.id, str(error)))
            bar.update()
    bar.close()
    return loaded
