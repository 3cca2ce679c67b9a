"""What test_run_ray_cluster.py looks at, in a process of its own.

    python tests/ray_cluster_runs.py FOLDER OUT OPTION...

A Ray cluster of two nodes on this machine, whose files go to FOLDER. `facekit synth` draws OUT/people with the OPTIONs,
by one worker on the node of the driver and two on the other, which is killed in mid-run with every process that it
has. Then a worker is told of an instruction set that it has not.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import ray
from ray.cluster_utils import Cluster

from facekit.cli import main
from facekit.run import shards
from facekit.run.choice import ExecutorChoice
from facekit.run.executors import open_executor
from facekit.run.ray_executor import RayTasks

WORKERS = 3
MEMORY = 80 << 20
"""Bytes of a node's object store: the least that Ray takes is 75 MiB."""


class Witness:
    """Sees what the executor is answered; removes the second node while each of the three workers has a shard.

    No worker is given a shard before all can have one: a slow machine would else be done before the last one starts.
    """

    def __init__(self, cluster: Any, node: Any) -> None:
        self.cluster, self.node = cluster, node
        self.started, self.finished, self.replaced, self.killed, self.lost_after = 0, 0, 0, 0, -1
        self._answer, self._replace = RayTasks._answer, RayTasks._replace

    def answer(self, tasks: RayTasks, ready: Any, call: Any) -> Any:
        if not self.started:
            ray.wait([ready, *tasks._busy], num_returns=WORKERS)
        found = self._answer(tasks, ready, call)
        self.started += call.task is None
        self.finished += call.task is not None
        if self.node is not None and self.started == WORKERS and call.task is not None:
            self.lost_after = self.finished
            self.killed = lose(self.cluster, self.node)
            self.node = None
        return found

    def replace(self, *call: Any) -> None:
        self.replaced += 1
        self._replace(*call)

    def watch(self) -> None:
        mock.patch.object(RayTasks, "_answer", lambda *call: self.answer(*call)).start()
        mock.patch.object(RayTasks, "_replace", lambda *call: self.replace(*call)).start()


def lose(cluster: Any, node: Any) -> int:
    """Take a node away as a machine goes: with its workers, which would go on for a while without their raylet.

    Returns when they are gone, with their number: what they had not handed over is lost, and so is what they are asked
    next.
    """
    workers = list(descendants(node.all_processes["raylet"][0].process.pid))
    cluster.remove_node(node, allow_graceful=False)
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    while any(map(runs, workers)):
        time.sleep(0.01)
    return len(workers)


def descendants(process: int) -> Iterator[int]:
    """Process identifiers of the children of all its threads, of theirs, and so on."""
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from descendants(child)


def runs(process: int) -> bool:
    """Whether a process is there and not merely waiting to be taken note of."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def other_instructions() -> list[str]:
    """Type and message of the error of a worker that has not the instruction set which it is told."""
    try:
        with open_executor(1, always, None, ExecutorChoice("ray"), instructions="pdp11") as executor:
            executor.submit(1)
            executor.next_finished()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return []


def always(_: None) -> Any:
    return lambda task: task


if __name__ == "__main__":
    folder, out, *drawn = sys.argv[1:]
    head = {"num_cpus": 1, "include_dashboard": False, "temp_dir": folder}
    cluster = Cluster(initialize_head=True, head_node_args={**head, "object_store_memory": MEMORY})
    second = cluster.add_node(num_cpus=2, object_store_memory=MEMORY, temp_dir=folder)
    ray.init(address=cluster.address, log_to_driver=False)
    shards.SMALLEST = 2
    witness = Witness(cluster, second)
    witness.watch()
    code = None
    try:
        main(["synth", f"{out}/people", *drawn, "--engine", "ray", "--workers", str(WORKERS)])
    except SystemExit as ended:
        code = ended.code
    found = {"code": code, "lost_after": witness.lost_after, "workers": witness.killed, "replaced": witness.replaced}
    found["shards"] = witness.finished
    found["instructions"] = other_instructions()
    Path(out, "found.json").write_text(json.dumps(found))
    ray.shutdown()
    cluster.shutdown()
