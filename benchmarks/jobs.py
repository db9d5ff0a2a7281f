"""What the command lines share: a list of jobs that goes on where it was stopped."""

import pathlib
import sys

import tqdm

from benchmarks import table

RESULTS = pathlib.Path(__file__).parent / "results"


def run(jobs, path, keys, columns, quiet=False):
    """Do the jobs whose rows a table lacks, and list those that fail.

    Args:
        jobs: List of `(key, work)`: the values of the key columns, and a function
            without arguments that returns the rest of the row as a dictionary.
        path: The table.
        keys: Names of the key columns.
        columns: Names of all columns.
        quiet: Show no progress bar.
    """
    done, failures = table.finished(path, keys), []
    jobs = [job for job in jobs if table.key(job[0]) not in done]
    progress = tqdm.tqdm(jobs, disable=quiet)
    for key, work in progress:
        progress.set_postfix_str(" ".join(map(str, key)))
        try:
            row = work()
        except Exception as error:
            failures.append(f"{' '.join(map(str, key))}: {error!r}")
            continue
        table.append(path, row | dict(zip(keys, key, strict=True)), columns)
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)


def chosen(parser, what, text, known):
    """Return the names in a comma-separated text, in the order of the known ones.

    Args:
        parser: `argparse.ArgumentParser`, which ends the program at an unknown name.
        what: What the names are, for the message.
        text: The names; None for all.
        known: The names that there are.

    Returns:
        List of names.
    """
    names = list(known) if text is None else text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(
            f"{what} must be some of {', '.join(known)}. Received: {', '.join(unknown)}"
        )
    return [name for name in known if name in names]
