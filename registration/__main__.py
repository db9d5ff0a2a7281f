"""The command line: `python -m registration pair`, `cohort`, `template`, `apply`.

Where a wheel is installed, its command `registration` does the same.
"""

import argparse
import json
import os
import pathlib
import signal
import sys
import traceback

import registration
from registration import mendable

# Before NumPy starts: every core has its own part of a volume to work on, and threads
# of its matrix products wait for each other (1 mm, two cores: 18 s instead of 2).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

FAILED = 3
MODULE = "python -m registration"
EXAMPLES = """\
examples:
  python -m registration pair patient.nii.gz template.nii.gz --out result
  python -m registration pair a.nii.gz b.nii.gz --out result --labels a_labels.nii.gz \\
      --fixed-labels b_labels.nii.gz --inverse
  python -m registration apply other.nii.gz --transform result/transform.h5 \\
      --reference template.nii.gz --out other_moved.nii.gz
"""
PAIR = """\
Register MOVING to FIXED, two T1-weighted heads in NIfTI files of any orientation and
voxel size, with their skulls or without. Look at report.html in the folder afterwards.
"""
PAIR_EXAMPLES = """\
examples:
  python -m registration pair patient.nii.gz template.nii.gz --out result
  python -m registration pair a.nii.gz b.nii.gz --out result --transform affine --json
  python -m registration pair a.nii.gz b.nii.gz --out result --inverse \\
      --fixed-mask b_brain.nii.gz --labels a_labels.nii.gz --points a_points.csv

written into DIR:
  moved.nii.gz      the moving scan on the fixed scan's own grid
  transform.h5      the whole transform, for ITK, ANTs, SimpleITK, Slicer
  warp.nii.gz       the same as one displacement field (LPS mm, affine included)
  affine.tfm, .txt  its affine part, for ITK and as a plain RAS matrix
  labels, points    where they were given
  inverse_*         all of these the other way, with --inverse
  report.html       pictures, scorecard, warnings; registration.json the same numbers

A verdict comes with it: good, doubtful or failed, with its reasons and the error to
expect in mm. Where it is failed, other ways are tried, and a line says which.

exit code: 0 done, 2 something given cannot be used (one line says what), 3 done, but
failed by the verdict: look before you use it, 130 stopped.
"""
APPLY = """\
Carry IMAGE through stored transforms, with one interpolation. Reads what `pair`, ANTs
and SimpleITK write: .h5, .tfm, .txt, .mat, and displacement fields .nii, .nii.gz.
"""
APPLY_EXAMPLES = """\
The transforms stand in the order in which a point of the reference passes them, as with
antsApplyTransforms -t: the warp before the affine. [FILE,1] inverts one of them.

examples:
  python -m registration apply other.nii.gz --transform result/transform.h5 \\
      --reference template.nii.gz --out other_moved.nii.gz
  python -m registration apply labels.nii.gz --labels -t 1Warp.nii.gz -t 0Affine.mat \\
      --reference template.nii.gz --out labels_moved.nii.gz
  python -m registration apply landmarks.csv --points -t result/transform.h5 \\
      --out landmarks_moved.csv
"""


COHORT = """\
Register every T1-weighted scan of SOURCE to one fixed scan, each as `pair` does it.
SOURCE is a folder of NIfTI files, a BIDS data set, or a .csv or .tsv table of paths.
What is there already is kept, so run the same command again after a stop.
"""
COHORT_EXAMPLES = """\
examples:
  python -m registration cohort scans --fixed template.nii.gz --out result
  python -m registration cohort pairs.csv --out result --transform affine --workers 4
  python -m registration cohort scans --fixed template.nii.gz --out result \\
      --dask tcp://head-node:8786

a table has the columns moving and, where they are needed, name, fixed, moving_mask,
fixed_mask, labels, fixed_labels; a path begins where the table lies.

written into DIR:
  sub-NAME/anat/...   the results of each pair, in the names of a BIDS derivative
  registrations.tsv   a line for each: verdict, numbers, seconds, reason
  report.html         all of them: distributions, pictures worst first, a table to sort
  figures, logs       the page's pictures; what a fault of the program left to read

A scan that cannot be registered is listed with its reason, and the others go on.

exit code: 0 all done, 2 nothing can be begun (one line says why), 3 some failed by
their verdict or could not be registered, 130 stopped.
"""

TEMPLATE = """\
Make the mean head of the T1-weighted scans of SOURCE, which favours none of them.
SOURCE is a folder of NIfTI files, a BIDS data set, or a .csv or .tsv table of paths.
"""
TEMPLATE_EXAMPLES = """\
examples:
  python -m registration template scans --out mean
  python -m registration template scans.csv --out mean --rounds 2 --no-refine
  python -m registration cohort others --fixed mean/template.nii.gz --out result

a table has the column moving (or scan) and, where they are needed, name, moving_mask
(or mask), labels; a path begins where the table lies.

written into DIR:
  template.nii.gz       the mean brain, at 2 mm; template_mask.nii.gz its mask
  template_labels.*     where labels were given: the likeliest label of each voxel, and
                        which volume of template_probabilities.nii.gz, percent, is whose
  transforms/...        NAME_to_template.h5 and template_to_NAME.h5, for ITK and `apply`
  rounds.nii.gz         the mean after every round; convergence.tsv their numbers
  scans.tsv             a line for each scan: numbers, or why it was left out
  report.html           all of it to look at; template.json the same numbers

A scan that cannot be used is listed with its reason, and the others go on.

exit code: 0 done, 2 nothing can be made (one line says why), 3 done, but a scan was
left out: look at scans.tsv, 130 stopped.
"""


class _Parser(argparse.ArgumentParser):
    """Say in one line what is wrong with a command."""

    def error(self, message):
        """End with exit code 2."""
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def main(argv=None):
    """Run a command.

    Args:
        argv: Its words, without `python -m registration`; those of the process when
            None.

    Returns:
        The exit code: 0 done, 1 a fault of the program, 2 something given cannot be
        used, 3 done but failed by the verdict, 130 stopped by Ctrl-C, 143 by SIGTERM.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    program = _program()
    options = _parser(program).parse_args(words)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return options.run(options, [*program.split(), *words])
    except (mendable.InputError, OSError) as error:
        text = " ".join(str(error).split())
        print(f"{program}: error: {text}", file=sys.stderr)
        return 2
    except Exception:
        traceback.print_exc()
        print(
            f"{program}: this is a fault of the program, and {options.stopped}; "
            "please report the lines above",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt as stopped:
        print(f"\n{program}: stopped; {options.stopped}", file=sys.stderr)
        return 143 if isinstance(stopped, _Terminated) else 130
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came; cleaned up as after Ctrl-C."""


def _terminate(number, frame):
    raise _Terminated


def _program():
    """Return by what this process was called: a wheel's command, or the module."""
    name = pathlib.Path(sys.argv[0]).stem
    return name if name == "registration" else MODULE


def _parser(program):
    plain = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog=program,
        description="Register scans of heads, and apply what was found.",
        epilog=EXAMPLES.replace(MODULE, program),
        formatter_class=plain,
    )
    parser.add_argument("--version", action="version", version=registration.__version__)
    verbs = parser.add_subparsers(
        title="commands", metavar="pair | cohort | template | apply", required=True
    )
    pair = verbs.add_parser(
        "pair",
        help="register one scan to another",
        description=PAIR,
        epilog=PAIR_EXAMPLES.replace(MODULE, program),
        formatter_class=plain,
    )
    add = pair.add_argument
    pair.set_defaults(stopped="nothing was written")
    add("moving", type=pathlib.Path, metavar="MOVING", help="the scan to be moved")
    add("fixed", type=pathlib.Path, metavar="FIXED", help="the scan it is moved onto")
    add("--out", type=pathlib.Path, required=True, metavar="DIR", help="results")
    _add_how(pair)
    for name in ("moving", "fixed"):
        add(
            f"--{name}-mask",
            type=pathlib.Path,
            metavar="FILE",
            help=f"brain of the {name} scan; unset, it is found",
        )
    add(
        "--labels",
        type=pathlib.Path,
        metavar="FILE",
        help="label map of the moving scan, carried along by nearest neighbour",
    )
    add(
        "--fixed-labels",
        type=pathlib.Path,
        metavar="FILE",
        help="label map of the fixed scan, to measure the overlap",
    )
    add(
        "--points",
        type=pathlib.Path,
        metavar="FILE.csv",
        help="points of the moving scan, columns x, y, z in RAS mm",
    )
    add(
        "--start",
        type=pathlib.Path,
        metavar="FILE",
        help="ITK transform, fixed to moving, to begin with; for a dense transform it "
        "takes the place of the affine network",
    )
    add("--bids", action="store_true", help="names and sidecars of a BIDS derivative")
    add("--json", action="store_true", help="print the numbers as JSON")
    _add_common(pair, "results of an earlier run")
    pair.set_defaults(run=_pair)
    _add_cohort(verbs, program)
    _add_template(verbs, program)
    apply = verbs.add_parser(
        "apply",
        help="carry a scan, labels or points through stored transforms",
        description=APPLY,
        epilog=APPLY_EXAMPLES.replace(MODULE, program),
        formatter_class=plain,
    )
    apply.set_defaults(stopped="nothing was written")
    add = apply.add_argument
    add(
        "image",
        type=pathlib.Path,
        metavar="IMAGE",
        help="scan, series, label map or points",
    )
    add(
        "-t",
        "--transform",
        action="append",
        required=True,
        metavar="FILE",
        help="a transform; give it again for each of a chain",
    )
    add(
        "--reference",
        type=pathlib.Path,
        metavar="FIXED",
        help="the scan on whose grid the result lies; not needed for points",
    )
    add("--out", type=pathlib.Path, required=True, metavar="FILE", help="result")
    kind = apply.add_mutually_exclusive_group()
    kind.add_argument(
        "--labels",
        dest="kind",
        action="store_const",
        const="labels",
        default="image",
        help="IMAGE is a label map: nearest",
    )
    kind.add_argument(
        "--points",
        dest="kind",
        action="store_const",
        const="points",
        help="IMAGE is a CSV of points, RAS mm",
    )
    add("--inverse", action="store_true", help="go through the chain the other way")
    _add_common(apply, "the result of an earlier run")
    apply.set_defaults(run=_apply)
    return parser


def _add_cohort(verbs, program):
    cohort = verbs.add_parser(
        "cohort",
        help="register many scans to one, or any list of pairs",
        description=COHORT,
        epilog=COHORT_EXAMPLES.replace(MODULE, program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cohort.set_defaults(run=_cohort, stopped="what is done is kept, and goes on")
    add = cohort.add_argument
    add("source", type=pathlib.Path, metavar="SOURCE", help="folder, or table of paths")
    add(
        "--fixed",
        type=pathlib.Path,
        metavar="FILE",
        help="the scan that all are moved onto; unset, the table names it",
    )
    add("--out", type=pathlib.Path, required=True, metavar="DIR", help="results")
    for name in ("mask", "labels"):
        add(
            f"--fixed-{name}",
            type=pathlib.Path,
            metavar="FILE",
            help=f"{'brain' if name == 'mask' else 'label map'} of the fixed scan",
        )
    _add_how(cohort)
    _add_workers(cohort)
    _add_common(cohort, "files of the same names that no cohort has written")


def _add_template(verbs, program):
    template = verbs.add_parser(
        "template",
        help="make the mean head of many scans",
        description=TEMPLATE,
        epilog=TEMPLATE_EXAMPLES.replace(MODULE, program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    template.set_defaults(run=_template, stopped="nothing was written")
    add = template.add_argument
    add("source", type=pathlib.Path, metavar="SOURCE", help="folder, or table of paths")
    add("--out", type=pathlib.Path, required=True, metavar="DIR", help="results")
    add(
        "--rounds",
        type=int,
        default=3,
        metavar="N",
        help="the most rounds of one pass of the network (3); fewer where it settles",
    )
    add("--no-refine", action="store_true", help="faster, and less sharp")
    add(
        "--start",
        metavar="NAME",
        help="the scan to begin with; unset, the one of middle size",
    )
    _add_workers(template)
    _add_common(template, "the result of an earlier run")


def _add_how(parser):
    """Add how a pair is registered."""
    add = parser.add_argument
    add(
        "--transform",
        choices=("affine", "dense"),
        default="dense",
        help="twelve numbers, or a displacement of every voxel (default)",
    )
    add(
        "--no-refine",
        action="store_true",
        help="one pass of the networks: faster, less accurate",
    )
    add("--inverse", action="store_true", help="write the way back too")
    add("--no-report", action="store_true", help="draw no report.html: faster")
    add(
        "--no-retry",
        action="store_true",
        help="keep the first result, whatever the check says of it",
    )


def _add_workers(parser):
    add = parser.add_argument
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes; unset, as many as cores and memory allow",
    )
    add(
        "--dask",
        metavar="WHERE",
        help="address of a running scheduler, tcp://HOST:PORT, or the name of a queue, "
        "such as slurm, through dask-jobqueue",
    )


def _add_common(parser, what):
    parser.add_argument("--force", action="store_true", help=f"replace {what}")
    parser.add_argument("--quiet", action="store_true", help="print errors only")


def _progress(options):
    """Return what tells of the stages: nothing unless someone watches a terminal."""
    if options.quiet or not sys.stderr.isatty():
        return None
    return lambda text: print(text, end="", file=sys.stderr, flush=True)


def _pair(options, command):
    from registration import check, pair, report

    record = pair.pair(
        options.moving,
        options.fixed,
        options.out,
        transform=options.transform,
        refine=not options.no_refine,
        moving_mask=options.moving_mask,
        fixed_mask=options.fixed_mask,
        labels=options.labels,
        fixed_labels=options.fixed_labels,
        points=options.points,
        inverse=options.inverse,
        start=options.start,
        force=options.force,
        bids=options.bids,
        report=not options.no_report,
        retry=not options.no_retry,
        command=command,
        tell=_progress(options),
    )
    if not options.quiet:
        for text in record["warnings"]:
            print(f"warning: {text}", file=sys.stderr)
        if not (options.no_report or report.can_draw()):
            print(f"report: {report.UNDRAWN}", file=sys.stderr)
    if options.json:
        print(json.dumps(record, indent=2))
    elif not options.quiet:
        pages = [name for name in record["files"] if name.endswith(".html")]
        made = options.out.joinpath(*pages)
        said = check.sentence(record["verdict"])
        print(f"{made}: {record['seconds_total']:.1f} s, {said}")
    return FAILED if record["verdict"]["level"] == "failed" else 0


def _cohort(options, command):
    from registration import cohort

    _check_workers(options)
    rows = cohort.cohort(
        options.source,
        options.out,
        fixed=options.fixed,
        fixed_mask=options.fixed_mask,
        fixed_labels=options.fixed_labels,
        options={
            "transform": options.transform,
            "refine": not options.no_refine,
            "inverse": options.inverse,
            "report": not options.no_report,
            "retry": not options.no_retry,
        },
        force=options.force,
        dask=options.dask,
        number=options.workers,
        command=command,
        tell=_lines(options),
    )
    bad = [row for row in rows if row["verdict"] in (None, "failed")]
    if not options.quiet:
        print(f"{options.out / cohort.PAGE}: {len(rows)} pairs, {len(bad)} to look at")
    return FAILED if bad else 0


def _template(options, command):
    from registration import template

    _check_workers(options)
    record = template.template(
        options.source,
        options.out,
        rounds=options.rounds,
        refine=not options.no_refine,
        start=options.start,
        force=options.force,
        dask=options.dask,
        number=options.workers,
        command=command,
        tell=_lines(options),
    )
    bad = [row for row in record["scans"] if row["state"] != "used"]
    if not options.quiet:
        used = len(record["scans"]) - len(bad)
        page = options.out / template.NAMES["report"]
        print(f"{page}: the mean of {used} heads, {len(bad)} left out, "
              f"{record['seconds_total']:.0f} s")  # fmt: skip
    return FAILED if bad else 0


def _check_workers(options):
    if options.workers is not None and options.workers < 1:
        raise mendable.InputError(
            f"--workers must be one or more. Received: {options.workers}"
        )


def _lines(options):
    """Return what tells of a long job, a line now and then."""

    def tell(text):
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    return tell


def _apply(options, command):
    from registration import apply

    apply.apply(
        options.image,
        options.transform,
        options.reference,
        options.out,
        kind=options.kind,
        inverse=options.inverse,
        force=options.force,
        tell=_progress(options),
    )
    if not options.quiet:
        print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
