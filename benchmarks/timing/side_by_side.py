"""Time implementations beside each other, each in a process of its own.

A peer's thread pool so never competes with another's: one process computes at a
time, while the others wait for a line on their standard input. Rounds go through
the peers in alternating order, and the median of the rounds counts.
"""

import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys

RESULTS = pathlib.Path(__file__).parent / "results"
COLUMNS = ("case", "peer", "seconds", "cpu_seconds", "peak_mb", "times_ours", "rounds")


class Absent(Exception):
    """Says that a peer does not do what a case asks for, and why."""


def serve(prepare):
    """Answer the requests of `compare` until its pipe closes.

    Each line of standard input is a case in JSON; the answer is the cost of one
    call, in JSON. The first request for a case prepares it and warms it up.

    Args:
        prepare: Function `case -> callable` of no arguments, which makes one call on
            other inputs than the call before and waits for its results; raises
            `Absent` where the peer cannot.
    """
    from benchmarks import measure

    answers, calls = os.dup(1), {}
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            if line not in calls:
                calls.clear()
                calls[line] = prepare(json.loads(line))
                for _ in range(2):
                    calls[line]()
            with measure.measured() as cost:
                calls[line]()
            answer = vars(cost)
        except Absent as reason:
            answer = {"absent": str(reason)}
        os.write(answers, (json.dumps(answer) + "\n").encode())


def compare(script, peers, cases, rounds):
    """Measure every case with every peer and return the rows of the table.

    Args:
        script: Path of the benchmark, which calls `serve` when given a peer's name.
        peers: Names of the peers; the first is ours.
        cases: Dict from a case's name to what `prepare` receives.
        rounds: Number of timed calls of each peer.

    Returns:
        List of dicts with the keys `COLUMNS`.
    """
    processes = {peer: _start(script, peer) for peer in peers}
    try:
        return [
            row
            for name, case in cases.items()
            for row in _rows(name, _alternate(processes, case, rounds))
        ]
    finally:
        for process in processes.values():
            process.stdin.close()
            process.wait()


def _start(script, peer):
    root = pathlib.Path(__file__).resolve().parents[2]
    command = [sys.executable, str(script), "--peer", peer]
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, bufsize=1, env=environment
    )


def _alternate(processes, case, rounds):
    costs = {peer: [] for peer in processes}
    for count in range(rounds):
        order = list(costs) if count % 2 == 0 else list(costs)[::-1]
        for peer in order:
            processes[peer].stdin.write(json.dumps(case) + "\n")
            cost = json.loads(processes[peer].stdout.readline())
            if "absent" in cost:
                del costs[peer]
            else:
                costs[peer].append(cost)
    return costs


def _rows(name, costs):
    """Summarise one case; the first peer is ours."""
    rows = []
    for peer, rounds in costs.items():
        row = {"case": name, "peer": peer, "rounds": len(rounds)}
        for key in ("seconds", "cpu_seconds", "peak_mb"):
            row[key] = statistics.median(cost[key] for cost in rounds)
        rows.append(row)
    for row in rows:
        row["times_ours"] = row["seconds"] / rows[0]["seconds"]
    return rows


def report(name, rows, device):
    """Print the table and store it as `results/NAME.csv`, with the device."""
    print(f"{'case':38}{'peer':12}{'seconds':>10}{'cpu s':>10}{'times ours':>12}")
    for row in rows:
        print(
            f"{row['case']:38}{row['peer']:12}{row['seconds']:10.4f}"
            f"{row['cpu_seconds']:10.4f}{row['times_ours']:12.2f}"
        )
    print(f"Medians of alternating rounds. Device: {device}")
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, "device"])
        for row in rows:
            values = (row[column] for column in COLUMNS)
            short = [f"{v:.5g}" if isinstance(v, float) else v for v in values]
            writer.writerow([*short, device])


def main(script, name, description, peers, cases, rounds):
    """Run a benchmark from the command line.

    Args:
        script: Path of the benchmark.
        name: Name of the stored table.
        description: What `--help` says.
        peers: Dict from a peer's name to its `prepare`; the first is ours.
        cases: Dict from a case's name to what `prepare` receives.
        rounds: Number of timed calls unless `--rounds` says another.
    """
    import argparse

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--peer", choices=list(peers), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--only", default="", help="part of the cases' names")
    options = parser.parse_args()
    if options.peer:
        serve(peers[options.peer])
        return
    cases = {key: case for key, case in cases.items() if options.only in key}
    rows = compare(script, list(peers), cases, options.rounds)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    report(name, rows, f"CPU, {cores or os.cpu_count()} cores")
