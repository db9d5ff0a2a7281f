"""Fit the models of `registration.check` to registrations whose error is known.

Two for the affine and two for the deformation: a logistic regression for the risk that
the overlap is below nine tenths of the best, and a linear one for the logarithm of the
error. `failures.py` makes the table that they are fitted to.
"""

import itertools
import json

import numpy as np
import pandas
from scipy import stats

from registration import check

STAGES = ("affine", "dense")
HEADS = {"test": "test scans", "elsewhere": "other scanners"}
GROUPS = ("known", "kept aside", "mirrored")
# Kinds of damage that the fit does not see.
KEPT_ASIDE = ("thick", "drift", "cropped", "turned")
# A head and its mirror image look alike: no measure of the pair tells them apart. The
# fit must not learn that good measures are bad, so they are judged by themselves.
UNSEEN = ("mirrored",)
BAD, GROSS_MM = 0.9, 10.0
# Share of the good training rows beyond the two thresholds, doubtful and failed.
ALARMS = {"doubtful": 0.05, "failed": 0.01}
# Measures that the models do without: `choice` shows why. The correlation says more
# about the scanners than about the registration.
LEFT_OUT = ("ncc", "back", "outside", "bend")
RIDGE, LIMIT, FOLDS = 1.0, 6.0, 5
# Half a voxel: below it, all is one.
LEAST_MM = 1.0


def store(rows, results, path):
    """Fit, judge the test scans, write tables and models.

    Args:
        rows: `pandas.DataFrame`, see `failures.py`.
        results: Folder of the tables.
        path: File of the models, `check.json`.
    """
    rows = rows.assign(
        kind=rows["damage"].str.split().str[0],
        bad=rows["dice"] < BAD * best(rows),
        gross=rows["error_mm"] > GROSS_MM,
    )
    fitted = {}
    for stage in STAGES:
        chosen = (rows["stage"] == stage) & (rows["split"] == "train")
        chosen &= ~rows["kind"].isin((*KEPT_ASIDE, *UNSEEN))
        fitted[stage] = fit(rows[chosen])
    choice(rows).round(4).to_csv(results / "check_measures.csv", index=False)
    text = json.dumps(fitted, indent=2) + "\n"
    path.write_text(text)
    told = [check.judge(row, row["stage"], fitted) for row in rows.to_dict("records")]
    rows["level"] = [one.level for one in told]
    rows["risk"] = [one.risk for one in told]
    rows["said_mm"] = [one.error_mm for one in told]
    curves, table = [], []
    for heads, stage, name in itertools.product(HEADS, STAGES, GROUPS):
        part = rows[(rows["split"] == heads) & (rows["stage"] == stage)]
        some = part[_group(part["kind"]) == name]
        keys = {"heads": HEADS[heads], "stage": stage, "damage": name}
        table.append(keys | scores(some))
        if name != "mirrored":
            curves.append(roc(some).assign(**keys))
    pandas.DataFrame(table).round(4).to_csv(results / "check.csv", index=False)
    keys = ["heads", "stage", "damage"]
    every = pandas.concat(curves)[[*keys, "false_alarms", "caught"]]
    every.round(4).to_csv(results / "check_roc_pairs.csv", index=False)
    told = rows[rows["split"].isin(HEADS)]
    groups = told.groupby(["stage", "kind"])
    by_kind = groups.apply(by_damage, include_groups=False).round(3)
    by_kind.to_csv(results / "check_damage.csv")


def _group(kinds):
    """Return the group of each kind of damage."""
    group = kinds.where(kinds.isin(UNSEEN), "known")
    return group.mask(kinds.isin(KEPT_ASIDE), "kept aside")


def best(rows):
    """Return, for each row, the overlap of its pair at its stage when undisturbed.

    An affine is held against the best affine: no affine overlaps as a field does.
    """
    keys = ["split", "moving", "fixed", "stage"]
    undisturbed = rows["dice"].where(rows["damage"] == "none")
    return undisturbed.groupby([rows[key] for key in keys]).transform("max")


def used(left_out=LEFT_OUT):
    """Return the names of the measures but for some."""
    return [name for name in check.NAMES if name not in left_out]


def choice(rows):
    """Return what the models lose or gain without a measure, on training scans alone.

    Each kind of damage, in each fifth of the heads, is judged by a fit that has seen
    neither that kind nor those heads.

    Args:
        rows: `pandas.DataFrame` as in `store`.

    Returns:
        `pandas.DataFrame`, a row for each stage and set of measures.
    """
    rows = rows[(rows["split"] == "train") & ~rows["kind"].isin(UNSEEN)]
    sets = {"all": (), "chosen": LEFT_OUT} | {f"without {n}": (n,) for n in check.NAMES}
    made = []
    for stage, (title, left_out) in itertools.product(STAGES, sets.items()):
        some = _judged_unseen(rows[rows["stage"] == stage], used(left_out))
        found = scores(some.assign(level="good"))
        limit = some["risk"][~some["bad"]].quantile(1 - ALARMS["doubtful"])
        made.append(
            {
                "stage": stage,
                "measures": title,
                "auc": found["auc"],
                "caught": (some["risk"] > limit)[some["bad"]].mean(),
                "gross_caught": (some["risk"] > limit)[some["gross"]].mean(),
                "within_factor_two": found["within_factor_two"],
            }
        )
    return pandas.DataFrame(made)


def _judged_unseen(rows, names):
    """Return the rows as fits judge them that know neither their kind nor head."""
    stage, rows = rows["stage"].iloc[0], rows.assign(risk=np.nan, said_mm=np.nan)
    fold = np.unique(rows["moving"], return_inverse=True)[1] % FOLDS
    for kind, number in itertools.product(rows["kind"].unique(), range(FOLDS)):
        out = (rows["kind"] == kind) & (fold == number)
        seen = rows[(rows["kind"] != kind) & (fold != number)]
        model = {stage: fit(seen, names)}
        told = [check.judge(row, stage, model) for row in rows[out].to_dict("records")]
        rows.loc[out, "risk"] = [one.risk for one in told]
        rows.loc[out, "said_mm"] = [one.error_mm for one in told]
    return rows


def fit(table, names=None):
    """Fit the two models of one stage, and set the thresholds.

    Args:
        table: `pandas.DataFrame` with the columns `names`, `bad` and `error_mm`.
        names: The measures to use; those of `used` when None.

    Returns:
        Dict as `check.judge` takes it for a stage.
    """
    names = used() if names is None else names
    values, bad = table[list(names)].to_numpy("float64"), table["bad"].to_numpy()
    # The middle of what is good: a broken scan must not say what is usual.
    middle = np.median(values[~bad], axis=0)
    spread = np.maximum(values[~bad].std(axis=0), 1e-3)
    scaled = np.clip((values - middle) / spread, -LIMIT, LIMIT)
    design = np.column_stack([scaled, np.ones(len(scaled))])
    penalty = np.diag([RIDGE] * len(names) + [0.0])
    risk = _logistic(design, bad, penalty)
    error = table["error_mm"].to_numpy("float64")
    # What the errors are measured from has none, and tells nothing.
    told = error > 0
    some, goal = design[told], np.log(np.maximum(error[told], LEAST_MM))
    line = np.linalg.solve(some.T @ some + penalty, some.T @ goal)
    chance = _kept_out(design, bad, penalty, table["moving"].to_numpy())
    return {
        "names": list(names),
        "middle": middle.tolist(),
        "spread": spread.tolist(),
        "limit": LIMIT,
        "risk": {"weights": risk[:-1].tolist(), "offset": float(risk[-1])},
        "error": {"weights": line[:-1].tolist(), "offset": float(line[-1])},
        "thresholds": [
            float(np.quantile(chance[~bad], 1 - share)) for share in ALARMS.values()
        ],
        "gross_mm": GROSS_MM,
    }


def _kept_out(design, bad, penalty, heads):
    """Return the risk of each row by a fit that has not seen its moving head."""
    chance = np.empty(len(bad))
    fold = np.unique(heads, return_inverse=True)[1] % FOLDS
    for number in np.unique(fold):
        out = fold == number
        weights = _logistic(design[~out], bad[~out], penalty)
        chance[out] = 1 / (1 + np.exp(-np.clip(design[out] @ weights, -30, 30)))
    return chance


def _logistic(design, bad, penalty, steps=50):
    """Return the weights of a logistic regression, by Newton's method."""
    weights = np.zeros(design.shape[1])
    for _ in range(steps):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        hessian = (design * (chance * (1 - chance))[:, None]).T @ design + penalty
        slope = design.T @ (bad - chance) - penalty @ weights
        step = np.linalg.solve(hessian + 1e-9 * np.eye(len(hessian)), slope)
        weights += step
        if np.abs(step).max() < 1e-6:
            return weights
    raise ValueError(f"the fit does not settle. Received: a last step of {step}")


def scores(rows):
    """Return how well the check knows good from bad, and how far off it says."""
    alarm, bad = rows["level"] != "good", rows["bad"]
    told = rows[rows["error_mm"] > 0]
    ratio = told["said_mm"].clip(lower=LEAST_MM) / told["error_mm"].clip(lower=LEAST_MM)
    return {
        "rows": len(rows),
        "bad": int(bad.sum()),
        "auc": auc(rows["risk"], bad),
        "bad_caught": alarm[bad].mean(),
        "false_alarms": alarm[~bad].mean(),
        "called_failed_though_good": (rows["level"] == "failed")[~bad].mean(),
        "gross": int(rows["gross"].sum()),
        "gross_caught": alarm[rows["gross"]].mean(),
        "within_factor_two": ((ratio > 0.5) & (ratio < 2)).mean(),
    }


def by_damage(rows):
    """Return what happened to one kind of damage."""
    bad = rows["bad"]
    missed = rows[bad & (rows["level"] == "good")]
    return pandas.Series(
        {
            "rows": len(rows),
            "bad": bad.sum(),
            "bad_missed": len(missed),
            "gross": rows["gross"].sum(),
            "gross_missed": (rows["gross"] & (rows["level"] == "good")).sum(),
            "false_alarms": (~bad & (rows["level"] != "good")).sum(),
            "dice_of_the_missed": missed["dice"].mean(),
        }
    )


def auc(risk, bad):
    """Return the area under the ROC curve: that a bad one has more risk than a good."""
    bad, ranks = np.asarray(bad, bool), stats.rankdata(risk)
    high, low = bad.sum(), (~bad).sum()
    if not high or not low:
        return float("nan")
    return float((ranks[bad].sum() - high * (high + 1) / 2) / (high * low))


def roc(rows, points=101):
    """Return the share of the bad that is caught at each share of false alarms."""
    good, bad = rows["risk"][~rows["bad"]], rows["risk"][rows["bad"]]
    shares = np.linspace(0, 1, points)
    limits = np.quantile(good, 1 - shares) if len(good) else np.zeros(points)
    caught = [float((bad >= limit).mean()) for limit in limits]
    return pandas.DataFrame({"false_alarms": shares, "caught": caught})
