import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import nibabel
import numpy as np
import pytest

from registration import __main__ as command_line
from registration import finding, itk, transform
from registration.scans import nifti
from tests.registration import heads
from tests.scans import nifti_files

ROOT = pathlib.Path(__file__).parents[2]
GRID = heads.oblique((20, 22, 18), (7.0, 7.0, 7.0))


@pytest.fixture
def folder(tmp_path):
    """Return a folder with the files of two small heads, good ones and bad ones."""
    random = np.random.default_rng(0)
    middle = heads.bump(GRID, [0, 0, 1]).displacement[..., 2]
    image = (100 * middle + random.uniform(1, 5, GRID.shape)).astype("float32")
    labels = (middle > 0.6).astype("uint8")

    def save(name, data, affine=GRID.affine):
        nibabel.save(nibabel.Nifti1Image(data, affine), tmp_path / name)

    for name in ("moving.nii.gz", "fixed.nii.gz"):
        save(name, image)
    save("labels.nii.gz", labels)
    save("empty.nii.gz", 0 * labels)
    save("fractions.nii.gz", labels * np.float32(0.5))
    save("negative.nii.gz", -labels.astype("int16"))
    save("other_grid.nii.gz", labels[:-1])
    shifted = GRID.affine.copy()
    shifted[:3, 3] += 5
    save("shifted.nii.gz", labels, shifted)
    save("far.nii.gz", image, shifted + np.array([[0, 0, 0, 5000.0]] * 3 + [[0] * 4]))
    save("flat.nii.gz", np.ones(GRID.shape, "float32"))
    save("series.nii.gz", np.stack([image] * 2, axis=-1))
    save("slice.nii.gz", image[..., :1])
    save("complex.nii.gz", image.astype("complex64"))
    bad = image.copy()
    bad[3, 4, 5] = np.nan
    save("nan.nii.gz", bad)
    bad[3, 4, 5] = np.inf
    save("inf.nii.gz", bad)
    save("nan_series.nii.gz", np.stack([image, bad], axis=-1))
    constant = np.zeros(GRID.shape, "uint8")
    constant[2, 2, 2] = 1
    save("one_voxel.nii.gz", constant)
    whole = (tmp_path / "moving.nii.gz").read_bytes()
    texts = {
        "text.nii.gz": b"not an image " * 50,
        "scan.dcm": b"DICM",
        "truncated.nii.gz": whole[: len(whole) // 2],
        "words.csv": b"x,y,z\n1,2,three\n",
        "two.csv": b"x,y\n1,2\n",
        "short.csv": b"x,y,z\n1,2\n",
        "none.csv": b"x,y,z\n",
        "empty.csv": b"",
        "binary.csv": b"\xff\xfe\x00\x81",
        "nan.csv": b"x,y,z\n1,nan,2\n",
        "damaged.h5": b"\x89HDF\r\n\x1a\n and no more",
        "damaged.tfm": b"#Insight Transform File V1.0\nTransform: Affine\n",
        "damaged.mat": b"nothing",
        "damaged.xfm": b"MNI Transform File",
    }
    for name, content in texts.items():
        (tmp_path / name).write_bytes(content)
    x, y, z = GRID.centre
    (tmp_path / "inside.csv").write_text(f"name,x,y,z\na,{x},{y},{z}\n")
    (tmp_path / "outside.csv").write_text(f"x,y,z\n{x},{y},{z}\n9000,0,0\n")
    far = np.eye(4)
    far[0, 3] = 5000
    flat = np.diag([1.0, 1, 0, 1])
    itk.save(tmp_path / "none.tfm", transform.Transform())
    itk.save(tmp_path / "far.tfm", transform.Transform([far]))
    itk.save(tmp_path / "singular.tfm", transform.Transform([flat]))
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "moved.nii.gz").write_bytes(b"of another day")
    (tmp_path / "there.nii.gz").write_bytes(b"of another day")
    return tmp_path


def listed(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def complaint(folder, capsys, monkeypatch, words):
    """Run a command that must be refused; return its one line."""
    monkeypatch.chdir(folder)
    before = listed(folder)
    try:
        code = command_line.main(words.split())
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.count("\n") == 1, printed.err
    assert listed(folder) == before
    assert not list(folder.glob(".writing-*"))
    return printed.err


PAIR = [
    ("gone.nii.gz fixed.nii.gz", "gone.nii.gz.*Check the name"),
    ("moving.nii.gz gone.nii.gz", "gone.nii.gz.*Check the name"),
    ("results fixed.nii.gz", "must end in .nii"),
    ("scan.dcm fixed.nii.gz", "Convert the scan to NIfTI"),
    ("text.nii.gz fixed.nii.gz", "Convert the scan to NIfTI"),
    ("moving.nii.gz text.nii.gz", "text.nii.gz.*Convert"),
    ("truncated.nii.gz fixed.nii.gz", "truncated.*again"),
    ("series.nii.gz fixed.nii.gz", "Take one volume"),
    ("moving.nii.gz series.nii.gz", "Take one volume"),
    ("slice.nii.gz fixed.nii.gz", "a slice, not a volume"),
    ("complex.nii.gz fixed.nii.gz", "must be real"),
    ("nan.nii.gz fixed.nii.gz", "Set them to zero"),
    ("moving.nii.gz inf.nii.gz", "Set them to zero"),
    ("flat.nii.gz fixed.nii.gz", "same value.*with a head"),
    ("moving.nii.gz fixed.nii.gz --moving-mask gone.nii.gz", "Check the name"),
    ("moving.nii.gz fixed.nii.gz --moving-mask empty.nii.gz", "voxels above zero"),
    ("moving.nii.gz fixed.nii.gz --fixed-mask empty.nii.gz", "voxels above zero"),
    ("moving.nii.gz fixed.nii.gz --fixed-mask other_grid.nii.gz", "onto the scan's"),
    ("moving.nii.gz fixed.nii.gz --moving-mask shifted.nii.gz", "onto the scan's"),
    ("moving.nii.gz fixed.nii.gz --moving-mask one_voxel.nii.gz", "same everywhere"),
    ("moving.nii.gz fixed.nii.gz --moving-mask fractions.nii.gz", "not whole"),
    ("moving.nii.gz fixed.nii.gz --labels fractions.nii.gz", "not whole.*Round"),
    ("moving.nii.gz fixed.nii.gz --labels negative.nii.gz", "negative"),
    ("moving.nii.gz fixed.nii.gz --labels empty.nii.gz", "voxels above zero"),
    ("moving.nii.gz fixed.nii.gz --labels other_grid.nii.gz", "onto the scan's"),
    ("moving.nii.gz fixed.nii.gz --fixed-labels shifted.nii.gz", "onto the scan's"),
    ("moving.nii.gz fixed.nii.gz --points gone.csv", "gone.csv: cannot be read"),
    ("moving.nii.gz fixed.nii.gz --points words.csv", "point 1 must be.*three"),
    ("moving.nii.gz fixed.nii.gz --points two.csv", "columns x, y and z"),
    ("moving.nii.gz fixed.nii.gz --points short.csv", "point 1 must be 3 cells"),
    ("moving.nii.gz fixed.nii.gz --points none.csv", "no point"),
    ("moving.nii.gz fixed.nii.gz --points empty.csv", "columns x, y and z"),
    ("moving.nii.gz fixed.nii.gz --points binary.csv", "cannot be read as CSV"),
    ("moving.nii.gz fixed.nii.gz --points nan.csv", "finite"),
    ("moving.nii.gz fixed.nii.gz --points outside.csv", "point 2 lies outside"),
    ("moving.nii.gz fixed.nii.gz --start gone.h5", "no such file"),
    ("moving.nii.gz fixed.nii.gz --start damaged.h5", "not a transform of ITK"),
    ("moving.nii.gz fixed.nii.gz --start damaged.xfm", "must end in .h5"),
    ("moving.nii.gz fixed.nii.gz --start far.tfm", "do not overlap"),
    ("moving.nii.gz fixed.nii.gz --out there.nii.gz", "choose another folder"),
    ("moving.nii.gz fixed.nii.gz --out there.nii.gz/x", "choose another folder"),
    ("moving.nii.gz fixed.nii.gz --out results", "--force.*moved.nii.gz"),
    ("results/moved.nii.gz fixed.nii.gz --out results --force", "overwritten"),
    ("moving.nii.gz fixed.nii.gz --transform rigid", "invalid choice.*--help"),
    ("moving.nii.gz", "required: FIXED"),
    ("moving.nii.gz fixed.nii.gz --speed", "unrecognized"),
]


@pytest.mark.parametrize(("words", "message"), PAIR)
def test_a_pair_that_cannot_be_used_is_refused_in_one_line(
    folder, capsys, monkeypatch, words, message
):
    out = "" if "--out" in words else " --out new"
    line = complaint(folder, capsys, monkeypatch, f"pair {words}{out}")
    assert re.search(message, line), line
    assert not (folder / "new").exists()


APPLY = [
    ("gone.nii.gz -t none.tfm", "Check the name"),
    ("moving.nii.gz -t gone.tfm", "no such file"),
    ("moving.nii.gz -t damaged.tfm", "only affines"),
    ("moving.nii.gz -t damaged.mat", "not a .mat"),
    ("moving.nii.gz -t damaged.h5", "not a transform"),
    ("moving.nii.gz -t labels.nii.gz", "a displacement has the shape"),
    ("moving.nii.gz -t far.tfm", "nothing of it lies on the reference"),
    ("far.nii.gz -t none.tfm", "nothing of it lies on the reference"),
    ("moving.nii.gz -t singular.tfm --inverse", "no inverse"),
    ("fractions.nii.gz -t none.tfm --labels", "not whole"),
    ("nan_series.nii.gz -t none.tfm", "NaN"),
    ("series.nii.gz -t far.tfm", "nothing of it lies"),
    ("truncated.nii.gz -t none.tfm", "truncated|corrupt|again"),
    ("moving.nii.gz -t none.tfm --reference gone.nii.gz", "Check the name"),
    ("moving.nii.gz -t none.tfm --out there.nii.gz", "--force"),
    ("moving.nii.gz -t none.tfm --out moving.nii.gz --force", "overwritten"),
    ("moving.nii.gz -t none.tfm --out none.tfm --force", "must end in .nii"),
    ("moving.nii.gz -t none.tfm --out gone/x.nii.gz", "does not exist"),
    ("words.csv -t none.tfm --points --out x.csv", "point 1"),
    ("inside.csv -t none.tfm --points --out x.nii.gz", "must end in .csv"),
    ("inside.csv -t none.tfm --labels --points --out x.csv", "not allowed with"),
    ("moving.nii.gz", "required: -t"),
]


@pytest.mark.parametrize(("words", "message"), APPLY)
def test_what_cannot_be_applied_is_refused_in_one_line(
    folder, capsys, monkeypatch, words, message
):
    words += "" if "--reference" in words else " --reference fixed.nii.gz"
    words += "" if "--out" in words else " --out x.nii.gz"
    line = complaint(folder, capsys, monkeypatch, f"apply {words}")
    assert re.search(message, line), line


def test_a_reference_is_asked_for(folder, capsys, monkeypatch):
    words = "apply moving.nii.gz -t none.tfm --out x.nii.gz"
    assert "--reference" in complaint(folder, capsys, monkeypatch, words)


@pytest.mark.parametrize(
    ("what", "name", "content", "message"), nifti_files.REFUSED[::6]
)
def test_a_file_that_no_reader_should_trust_is_refused_in_one_line(
    folder, capsys, monkeypatch, what, name, content, message
):
    (folder / name).write_bytes(content)
    words = f"pair {name} fixed.nii.gz --out new"
    assert message in complaint(folder, capsys, monkeypatch, words), what


@pytest.mark.parametrize("words", [["--help"], ["pair", "--help"], ["apply", "--help"]])
def test_help_has_examples_and_ends_well(capsys, words):
    with pytest.raises(SystemExit) as end:
        command_line.main(words)
    assert end.value.code == 0
    assert capsys.readouterr().out.count("  python -m registration ") >= 3


def started(words, folder, before="", **options):
    """Start a process of its own; `before` is run first in it."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); {before}\n"
        "from registration import __main__ as line\n"
        f"code = line.main({words.split()!r})\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))\n"
        "sys.exit(code)"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        "apply moving.nii.gz -t none.tfm --reference fixed.nii.gz --out x.nii.gz",
        "pair moving.nii.gz fixed.nii.gz --points words.csv --out new",
    ],
)
def test_no_network_is_started_that_is_not_needed(folder, words):
    process = started(words, folder)
    out, err = process.communicate(timeout=120)
    assert out.splitlines()[-1] == "[]", err


def test_a_pair_is_registered_without_keras_and_without_matplotlib(tmp_path):
    for name, seed in (("moving", 5), ("fixed", 6)):
        scan = heads.head(seed)
        nifti.save(tmp_path / f"{name}.nii", scan.image, scan.affine)
    code = (
        "import sys; from registration import __main__ as line; "
        "assert line.main(sys.argv[1:]) == 0; "
        "found = {'keras', 'tensorflow', 'torch', 'matplotlib'} & set(sys.modules); "
        "assert not found, found"
    )
    words = "pair moving.nii fixed.nii --out new --no-report --quiet --no-refine"
    subprocess.run(
        [sys.executable, "-c", code, *words.split()], cwd=tmp_path, check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    made = {path.name for path in (tmp_path / "new").iterdir()}
    assert {"moved.nii.gz", "transform.h5", "registration.json"} <= made
    assert "report.html" not in made


def test_help_starts_no_network():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "registration", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "usage: python -m registration" in done.stdout
    assert "keras" not in done.stderr and "tensorflow" not in done.stderr


# A process that waits where the networks would work.
WAITING = """
import signal, time
# A shell's background job, such as this test may be part of, ignores Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)
from registration import finding
def find(*arguments):
    open('begun', 'w').close()
    time.sleep(60)
finding.find = find
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="signals are those of POSIX")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_what_is_stopped_leaves_nothing(folder, number, code):
    before = set(folder.iterdir())
    words = "pair moving.nii.gz fixed.nii.gz --out new"
    process = started(words, folder, f"exec({WAITING!r})")
    for _ in range(600):
        if (folder / "begun").exists():
            break
        time.sleep(0.05)
    assert (folder / "begun").exists()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "nothing was written" in err and "Traceback" not in err
    assert set(folder.iterdir()) - before == {folder / "begun"}


def test_the_numbers_are_printed_as_json_and_nothing_else(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    heads.replace_networks(monkeypatch)
    words = "pair moving.nii.gz fixed.nii.gz --out new --json --transform affine"
    assert command_line.main(words.split()) == 0
    printed = json.loads(capsys.readouterr().out)
    stored = json.loads((folder / "new" / "registration.json").read_text())
    assert printed["files"].keys() == stored["files"].keys()
    assert printed == stored
    assert stored["command"][3:] == words.split()


def test_quiet_is_quiet_and_a_file_is_moved_onto_itself(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = "apply moving.nii.gz -t none.tfm --reference moving.nii.gz --out x.nii.gz"
    assert command_line.main([*words.split(), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    one, other = (nifti.load(name) for name in ("moving.nii.gz", "x.nii.gz"))
    # Where a voxel lies is known to float32 only.
    np.testing.assert_allclose(other.image, one.image, atol=1e-2)


def test_a_fault_of_ours_is_not_blamed_on_the_input(folder, capsys, monkeypatch):
    def broken(*arguments):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.chdir(folder)
    monkeypatch.setattr(finding, "find", broken)
    before = listed(folder)
    code = command_line.main("pair moving.nii.gz fixed.nii.gz --out new".split())
    printed = capsys.readouterr()
    assert code == 1 and printed.out == ""
    assert "Traceback" in printed.err and "could not be broadcast" in printed.err
    assert "please report" in printed.err.splitlines()[-1]
    assert listed(folder) == before
