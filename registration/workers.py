"""Do many independent tasks on a Dask cluster, and lose none of them."""

import contextlib
import functools
import importlib
import os
import time

import psutil

from registration.mendable import InputError

# Of a local worker, see benchmarks/timing/cohort.py; read beside the size of the scans.
MIB_A_WORKER = 1300
RECONNECTS, PATIENCE_S = 20, 3.0
QUEUES = ("slurm", "pbs", "sge", "lsf", "htcondor", "oar", "moab")


def count(mib=MIB_A_WORKER):
    """Return how many workers this machine has cores and memory for, at least one.

    Args:
        mib: Memory that one of them takes.
    """
    free = psutil.virtual_memory().available / 2**20
    return max(1, min(os.cpu_count() or 1, int(free // mib)))


def run(function, tasks, dask=None, number=None, tell=lambda text: None):
    """Do tasks on workers; yield each result as it comes.

    A worker that dies is replaced, and its task given to another one; a task on which
    three workers die is given up. Where the scheduler is lost, the tasks that are left
    are handed to it again once it is back: so a task must not mind being done twice.

    Args:
        function: Of a task; runs in the workers, which must be able to import it.
        tasks: List.
        dask: None for processes on this machine; the address of a scheduler, such as
            `tcp://host:8786`; or the name of a queue, one of `QUEUES`, whose settings
            are those of dask-jobqueue.
        number: Workers; None for as many as this machine has room for. A running
            cluster has its own.
        tell: Function of a text, for what a reader should know.

    Yields:
        Pairs of the task's number and what the function returned, or the exception.

    Raises:
        ValueError: If the cluster cannot be reached or started; it says what to do.
    """
    with pool(dask, number, tell) as do:
        yield from do(function, tasks)


@contextlib.contextmanager
def pool(dask=None, number=None, tell=lambda text: None):
    """Keep workers for several lists of tasks.

    Args:
        dask: See `run`.
        number: See `run`.
        tell: See `run`.

    Yields:
        A function of a function and a list of tasks, which does as `run`.

    Raises:
        ValueError: As `run`.
    """
    with _cluster(dask, number) as where:
        yield functools.partial(_done, where, tell)


def _done(where, tell, function, tasks):
    """Do tasks; hand over again what is left where the scheduler was lost."""
    import distributed

    left, lost = dict(enumerate(tasks)), 0
    while left:
        try:
            with _client(where) as client:
                for place, result in _submitted(client, function, left):
                    del left[place]
                    lost = 0
                    yield place, result
        except (OSError, distributed.CancelledError) as error:
            lost += 1
            if lost > RECONNECTS:
                raise InputError(
                    f"the scheduler does not come back; start it again, then run "
                    f"the same command: what is done is kept. Received: {error}"
                ) from error
            tell(f"the scheduler was lost; {len(left)} tasks are handed over again")
            time.sleep(PATIENCE_S)


def _submitted(client, function, left):
    """Hand over tasks; yield their numbers and results."""
    import distributed

    futures = {
        client.submit(function, task, pure=False): number
        for number, task in left.items()
    }
    for future in distributed.as_completed(list(futures)):
        if future.status == "cancelled":
            raise OSError("the tasks were cancelled: the scheduler is gone")
        error = future.exception()
        yield futures[future], future.result() if error is None else error
        future.release()


@contextlib.contextmanager
def _client(where):
    import distributed

    try:
        client = distributed.Client(where, timeout=PATIENCE_S * 10)
    except (OSError, TimeoutError) as error:
        raise OSError(f"no scheduler answers at {where}") from error
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            client.close(timeout=PATIENCE_S)


@contextlib.contextmanager
def _cluster(dask, number):
    """Give a cluster, or the address of one that runs."""
    if dask is not None and "://" in dask:
        yield dask
        return
    import dask as settings

    # Imported here: settings that it adds below would be lost with the change.
    import distributed

    # One task a worker: where one dies, no other that waited there is blamed for it.
    with settings.config.set({"distributed.scheduler.worker-saturation": 1.0}):
        if dask is None:
            cluster = distributed.LocalCluster(
                n_workers=number or count(),
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address="127.0.0.1:0",
            )
        else:
            cluster = _queue(dask, number)
        with cluster:
            yield cluster


def _queue(name, number):
    """Start workers through the queue of a computing centre."""
    if name not in QUEUES:
        raise InputError(
            f"--dask must be the address of a scheduler, tcp://HOST:PORT, or one of "
            f"{', '.join(QUEUES)}. Received: {name!r}"
        )
    try:
        dask_jobqueue = importlib.import_module("dask_jobqueue")
    except ImportError as error:
        raise InputError(
            f"--dask {name} needs the package dask-jobqueue: "
            f"pip install dask-jobqueue. Received: {error}"
        ) from error
    kinds = {kind.lower().removesuffix("cluster"): kind for kind in vars(dask_jobqueue)}
    try:
        cluster = getattr(dask_jobqueue, kinds[name])()
    except ValueError as error:
        raise InputError(
            f"--dask {name}: say in ~/.config/dask/jobqueue.yaml how many cores and "
            f"how much memory a job has. Received: {error}"
        ) from error
    cluster.scale(number or 1)
    return cluster
