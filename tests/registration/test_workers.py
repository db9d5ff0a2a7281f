import os
import subprocess
import sys
import time

import pytest

from registration import workers
from registration.mendable import InputError
from tests.registration import tasks

pytestmark = pytest.mark.filterwarnings("ignore")


def test_workers_that_die_lose_no_task_and_do_none_twice(tmp_path):
    given = [(str(tmp_path), number) for number in range(60)]
    found = dict(workers.run(tasks.write, given, number=2))
    assert found == {number: number**2 for number in range(60)}
    assert len(list(tmp_path.glob("*.begun"))) == 12
    for number in range(60):
        assert (tmp_path / f"{number}.done").read_text() == f"{number**2}\n"


def test_a_task_that_takes_every_worker_along_is_given_up_alone():
    found = dict(workers.run(tasks.die, ["a", "die", "b"], number=1))
    assert (found[0], found[2]) == ("a", "b")
    assert type(found[1]).__name__ == "KilledWorker"


def test_an_exception_is_returned_with_its_task():
    found = dict(workers.run(tasks.refuse, ["x"], number=1))
    assert isinstance(found[0], OSError) and found[0].errno == 28


def scheduler(port):
    """Start a scheduler and a worker that comes back to it."""
    own = f"tcp://127.0.0.1:{port}"
    program = "import sys; from distributed.cli.dask_{0} import main; main()"
    common = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = [sys.executable, "-c", program.format("scheduler")]
    return own, lambda: subprocess.Popen(
        [*words, "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"], **common
    ), lambda: subprocess.Popen(
        [sys.executable, "-c", program.format("worker"), own, "--nthreads", "1",
         "--no-dashboard", "--death-timeout", "60"],
        **common, env=os.environ | {"PYTHONPATH": os.getcwd()},
    )  # fmt: skip


def test_a_scheduler_that_was_restarted_gets_the_rest_again(monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE_S", 1.0)
    where, start, work = scheduler(8799)
    running = [start(), work()]
    said, found = [], {}
    try:
        for place, result in workers.run(
            tasks.wait, list(range(40)), where, tell=said.append
        ):
            assert place not in found
            found[place] = result
            if len(found) == 10:
                for process in running:
                    process.kill()
                time.sleep(0.5)
                running = [start(), work()]
    finally:
        for process in running:
            process.kill()
    assert found == {number: number for number in range(40)}
    assert any("handed over again" in text for text in said)


def test_a_cluster_that_cannot_be_had_is_said(monkeypatch):
    with pytest.raises(InputError, match="must be the address of a scheduler"):
        list(workers.run(tasks.wait, [1], "slurmm"))
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with pytest.raises(InputError, match="pip install dask-jobqueue"):
        list(workers.run(tasks.wait, [1], "slurm"))
    monkeypatch.setattr(workers, "RECONNECTS", 0)
    monkeypatch.setattr(workers, "PATIENCE_S", 0.1)
    with pytest.raises(InputError, match="start it again, then run the same command"):
        list(workers.run(tasks.wait, [1], "tcp://127.0.0.1:9"))


def test_there_are_no_more_workers_than_memory_allows():
    assert workers.count(10**9) == 1
    assert workers.count(1) == os.cpu_count()
