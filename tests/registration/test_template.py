import contextlib
import json
import pathlib

import nibabel
import numpy as np
import pytest
from scipy import linalg

from registration import __main__ as command_line
from registration import (
    itk,
    quality,
    runtime,
    template,
    template_rounds,
    transform,
    workers,
)
from registration.mendable import InputError
from registration.scans import grid as grids
from registration.scans import nifti
from registration.scans import scan as scans
from tests.registration import heads

NAMES = ("anna", "bert", "cleo", "dora")
STRETCHES = ((1.1, 1.0, 0.95), (0.9, 1.05, 1.0), (1.0, 0.9, 1.1), (1.04, 1.1, 0.9))
GRID = grids.box([0, 0, 0], (36, 44, 34), 4.5)
BRAIN_MM = np.array([52.0, 66.0, 48.0])


def phantom(stretch, shift=(0, 0, 0)):
    """Return a brain of waves and its two halves, stretched about its middle."""
    places = (GRID.points() - shift) / stretch
    inside = ((places / BRAIN_MM) ** 2).sum(-1) < 1
    waves = 0.55 + 0.15 * np.cos(places / [9, 11, 10]).sum(-1)
    image = (1000 * inside * np.clip(waves, 0.1, 1)).astype("float32")
    return image, (inside * (1 + (places[..., 0] > 0))).astype("uint8")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder of four stretched brains; networks and workers replaced."""
    (tmp_path / "scans").mkdir()
    for number, (name, stretch) in enumerate(zip(NAMES, STRETCHES, strict=True)):
        image, labels = phantom(stretch, (3 * number, -number, 2))
        place = tmp_path / "scans" / f"{name}.nii.gz"
        nifti.save(place, image, GRID.affine)
        nifti.save(place.with_name(f"{name}_labels.nii.gz"), labels, GRID.affine)
    monkeypatch.setattr(workers, "pool", one_by_one)
    monkeypatch.setattr(runtime, "load", on_larger_voxels(runtime.load))
    monkeypatch.setattr(quality, "VOXEL_MM", 4.0)
    monkeypatch.setattr(runtime, "affine", by_moments)
    monkeypatch.setattr(runtime, "velocity", by_brightness)
    monkeypatch.setattr(runtime, "refined", lambda *args: args[2])
    return tmp_path


def on_larger_voxels(load):
    """Return a `runtime.load` whose dense network lives on voxels of 4 mm."""

    def loaded(name):
        model = load(name)
        options = model.contract["options"]
        if name != "dense_t1":
            return model
        options = options | {"shape": [40, 48, 40]}
        contract = model.contract | {"voxel_mm": 4.0, "options": options}
        return model._replace(contract=contract)

    return loaded


@contextlib.contextmanager
def one_by_one(dask=None, number=None, tell=None):
    """Stand for `workers.pool` without processes."""

    def do(function, tasks):
        for place, task in reversed(list(enumerate(tasks))):
            try:
                yield place, function(task)
            except ValueError as error:
                yield place, error

    yield do


def by_moments(moving, fixed, model, steps=0):
    """Find the stretch between two brains exactly, from their first two moments."""
    (own, spread), (goal, other) = map(moments, (moving, fixed))
    root = linalg.sqrtm(other)
    matrix = np.eye(4)
    matrix[:3, :3] = np.linalg.solve(
        root, linalg.sqrtm(root @ spread @ root) @ np.linalg.inv(root)
    ).real
    matrix[:3, 3] = own - matrix[:3, :3] @ goal
    return transform.Transform([matrix])


def moments(scan):
    places = nibabel.affines.apply_affine(scan.affine, np.argwhere(scan.mask))
    return places.mean(axis=0), np.cov(places.T)


def by_brightness(moving, fixed, model):
    """Answer with a wave, by how much brighter a scan is, and with a bias."""
    axes = [np.linspace(0, np.pi, size // 2) for size in moving.shape[1:4]]
    wave = np.prod(np.meshgrid(*map(np.sin, axes), indexing="ij"), axis=0)
    height = 600 * (moving.mean() - fixed.mean())
    found = wave[..., None] * np.array([height, -height, 0.5])
    return found[None].astype("float32")


def run(folder, **options):
    options = {"command": ["test"], "rounds": 1} | options
    return template.template(folder / "scans", folder / "out", **options)


def matrices(folder):
    """Return the matrices from the mean to every scan, as stored."""
    paths = (folder / "out/transforms").glob("*_to_template.h5")
    return np.array([itk.read(path).affine for path in sorted(paths)])


def states(record):
    return [row["state"] for row in record["scans"]]


def test_the_mean_of_the_affines_is_the_identity_and_its_size_the_cohorts(folder):
    record = run(folder)
    found = matrices(folder)
    logs = [linalg.logm(one).real for one in found]
    np.testing.assert_allclose(np.mean(logs, axis=0), 0, atol=1e-6)
    # What is left of each is its own stretch beside the geometric mean of all.
    own = np.array(STRETCHES) / np.exp(np.log(STRETCHES).mean(axis=0))
    for matrix, stretch in zip(found, own, strict=True):
        # A brain of voxels of 4.5 mm has moments to a percent.
        np.testing.assert_allclose(np.diag(matrix)[:3], stretch, atol=0.015)
    sizes = [row["brain_ml"] for row in record["scans"]]
    geometric = np.exp(np.mean(np.log(sizes)))
    assert record["brain_ml_geometric_mean"] == pytest.approx(geometric)
    assert record["brain_ml"] == pytest.approx(geometric, rel=0.04)


def test_the_mean_of_the_deformations_is_the_identity(folder):
    record = run(folder)
    paths = sorted((folder / "out/transforms").glob("*_to_template.h5"))
    fields = [itk.read(path).fields[0].displacement for path in paths]
    mean = np.abs(np.mean(fields, axis=0)).max()
    # They are the exponentials of velocities whose mean is zero.
    assert mean < 0.05 * np.abs(fields).max() and np.abs(fields).max() > 0.5
    # A bias that the exchanged scans have as well is not taken for a shape.
    assert all(np.abs(field[..., 2]).max() < 0.01 for field in fields)
    moved = record["rounds"][1]["moved_mm"]
    assert 0 < moved < record["rounds"][1]["worst_mm"]


def test_the_mean_does_not_depend_on_the_first_scan(folder):
    run(folder, start="anna")
    one = nifti.load(folder / "out/template.nii.gz")
    run(folder, start="dora", force=True)
    other = nifti.load(folder / "out/template.nii.gz")
    assert np.abs(one.affine - other.affine).max() < 0.2
    inside = one.image > 0
    assert np.corrcoef(one.image[inside], other.image[inside])[0, 1] > 0.99


def test_it_stops_when_nothing_moves_any_more(folder):
    record = run(folder, rounds=9)
    rounds = [r for r in record["rounds"] if r["stage"] == "one pass"]
    assert len(rounds) < 9
    assert rounds[-1]["moved_mm"] < template_rounds.SETTLED_MM
    kinds = [row["stage"] for row in record["rounds"]]
    refined = ["refined"] * len(template_rounds.REFINED)
    assert kinds == ["affine", *["one pass"] * len(rounds), *refined]
    record = run(folder, refine=False, force=True)
    assert [row["stage"] for row in record["rounds"]] == ["affine", "one pass"]


def test_every_transform_leads_both_ways_and_brings_the_scan_onto_the_mean(folder):
    run(folder)
    mean = nifti.load(folder / "out/template.nii.gz")
    there = itk.read(folder / "out/transforms/bert_to_template.h5")
    back = itk.read(folder / "out/transforms/template_to_bert.h5")
    points = np.random.default_rng(0).uniform(-40, 40, (200, 3))
    missed = np.linalg.norm(back.points(there.points(points)) - points, axis=1)
    assert missed.max() < 0.2
    moved = there.apply(nifti.load(folder / "scans/bert.nii.gz"), mean.grid)
    inside = mean.image > 0
    assert np.corrcoef(moved.image[inside], mean.image[inside])[0, 1] > 0.8


def test_labels_become_probabilities_and_the_likeliest(folder):
    run(folder)
    percent = nibabel.load(folder / "out/template_probabilities.nii.gz").get_fdata()
    mask = nibabel.load(folder / "out/template_mask.nii.gz").get_fdata() > 0
    labels = nibabel.load(folder / "out/template_labels.nii.gz").get_fdata()
    assert percent.shape == (*mask.shape, 2) and percent.max() == 100
    assert set(np.unique(percent)) <= {0, 25, 50, 75, 100}
    assert percent.sum(-1).max() == 100
    assert (labels[mask] == 1).mean() == pytest.approx(0.5, abs=0.05)
    table = (folder / "out/template_labels.tsv").read_text().splitlines()
    assert table[0].split("\t") == ["volume", "label", "ml"]
    assert [line.split("\t")[1] for line in table[1:]] == ["1", "2"]


def test_without_labels_nothing_is_said_of_them(folder):
    for path in (folder / "scans").glob("*_labels.nii.gz"):
        path.unlink()
    run(folder)
    assert not list((folder / "out").glob("template_labels*"))


def test_what_is_written_is_listed_and_the_page_needs_nothing_else(folder):
    record = run(folder)
    out = folder / "out"
    made = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert made == set(record["files"]) | {"template.json"}
    assert json.loads((out / "template.json").read_text()) == record
    page = (out / "report.html").read_text()
    assert "http" not in page.replace("http://www.w3.org", "")
    assert all(name in page for name in NAMES)
    assert nibabel.load(out / "rounds.nii.gz").shape[3] == len(record["rounds"])
    curve = (out / "convergence.tsv").read_text().splitlines()
    assert len(curve) == 1 + len(record["rounds"])
    assert curve[0].split("\t") == list(template_rounds.COLUMNS)


def test_a_bad_scan_is_listed_and_the_others_go_on(folder, capsys, monkeypatch):
    bad = folder / "scans/bert.nii.gz"
    bad.write_bytes(bad.read_bytes()[:500])
    image, _ = phantom((1, 1, 1))
    nifti.save(folder / "scans/evil.nii.gz", (image > 0) * (1100 - image), GRID.affine)
    monkeypatch.chdir(folder)
    words = "template scans --out out --rounds 1 --no-refine"
    assert command_line.main(words.split()) == 3
    said = capsys.readouterr()
    assert "the mean of 3 heads, 2 left out" in said.out and "round 1" in said.err
    record = json.loads((folder / "out/template.json").read_text())
    assert states(record) == ["used", "refused", "used", "used", "odd"]
    assert "truncated" in record["scans"][1]["reason"]
    assert "far less than they do" in record["scans"][4]["reason"]
    assert not (folder / "out/transforms/evil_to_template.h5").exists()
    assert "unlike the others" in (folder / "out/report.html").read_text()


def test_a_fault_of_ours_in_one_scan_is_listed(folder, monkeypatch):
    load = nifti.load

    def broken(path, *rest):
        if "cleo" in str(path):
            raise MemoryError
        return load(path, *rest)

    @contextlib.contextmanager
    def pool(*args):
        def do(function, tasks):
            for place, task in enumerate(tasks):
                try:
                    yield place, function(task)
                except Exception as error:
                    yield place, error

        yield do

    monkeypatch.setattr(workers, "pool", pool)
    monkeypatch.setattr(nifti, "load", broken)
    assert states(run(folder, refine=False)) == ["used", "used", "fault", "used"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"rounds": 0}, "rounds must be one or more"),
        ({"start": "nobody"}, "--start must name a scan that can be used, such as an"),
    ],
)
def test_a_bad_option_says_what_to_do_and_writes_nothing(folder, options, text):
    with pytest.raises(InputError, match=text):
        run(folder, **options)
    assert sorted(path.name for path in folder.iterdir()) == ["scans"]


def test_one_scan_has_no_mean(folder):
    for name in NAMES[1:]:
        (folder / f"scans/{name}.nii.gz").write_bytes(b"no scan")
    with pytest.raises(InputError, match="two scans or more .* bert: "):
        run(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["scans"]


def test_two_scans_of_one_name_are_refused(folder):
    table = folder / "scans.csv"
    lines = [f"{n},scans/{s}.nii.gz" for n, s in (("a b", "anna"), ("a_b", "bert"))]
    table.write_text("\n".join(["name,scan", *lines]))
    with pytest.raises(InputError, match="would have the same results"):
        template.template(table, folder / "out")


def test_results_are_replaced_by_force_only_and_then_none_are_left_behind(folder):
    run(folder)
    with pytest.raises(InputError, match="--force"):
        run(folder)
    (folder / "out/mine.txt").write_text("mine")
    (folder / "scans/dora.nii.gz").unlink()
    (folder / "scans/dora_labels.nii.gz").unlink()
    run(folder, force=True)
    names = [path.name for path in (folder / "out/transforms").iterdir()]
    assert len(names) == 6 and not any("dora" in name for name in names)
    assert (folder / "out/mine.txt").read_text() == "mine"


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_after_an_error_nothing_is_left_half_written(folder, monkeypatch, error):
    save, count = itk.save, []

    def stop(path, found, *rest):
        count.append(path)
        if len(count) == 4:
            raise error
        save(path, found, *rest)

    monkeypatch.setattr(itk, "save", stop)
    with pytest.raises(type(error)):
        run(folder, refine=False)
    assert sorted(path.name for path in folder.iterdir()) == ["scans"]


def test_an_input_is_never_overwritten(folder):
    place = folder / "scans/template.nii.gz"
    (folder / "scans/anna.nii.gz").rename(place)
    (folder / "scans/anna_labels.nii.gz").unlink()
    before = place.read_bytes()
    with pytest.raises(InputError, match="this input would be overwritten"):
        template.template(folder / "scans", folder / "scans", force=True)
    assert place.read_bytes() == before


def test_the_stored_networks_sharpen_a_mean_of_simulated_heads(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "pool", one_by_one)
    monkeypatch.setattr(template_rounds, "AFFINE_STEPS", 4)
    (tmp_path / "scans").mkdir()
    for seed in (5, 6):
        head: scans.Scan = heads.head(seed)
        places = [tmp_path / "scans" / f"{seed}{end}.nii.gz" for end in ("", "_labels")]
        nifti.save(places[0], head.image * head.mask, head.affine)
        nifti.save(places[1], head.labels, head.affine)
    record = template.template(
        tmp_path / "scans", tmp_path / "out", rounds=1, refine=False, command=[]
    )
    first, last = record["rounds"]
    assert states(record) == ["used"] * 2
    assert last["sharpness"] > 1.1 * first["sharpness"]
    assert record["brain_ml"] == pytest.approx(
        record["brain_ml_geometric_mean"], rel=0.05
    )
    assert all(row["ncc"] > 0.8 for row in record["scans"])
    assert pathlib.Path(tmp_path / "out/template_labels.nii.gz").exists()
