"""What test_run_ray.py looks at, in a process of its own: Ray starts servers and threads that outlive a test.

    python tests/ray_runs.py FOLDER OUT OPTION...

A local Ray of two processors on the loopback address, without its dashboard, whose files go to FOLDER. OUT gets what
was found, found.json, and people, which `facekit synth` drew with the OPTIONs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import ray
from test_run_executors import broken, squares, troubles

from facekit.cli import main
from facekit.run.choice import ExecutorChoice
from facekit.run.executors import open_executor


def failure(start: Any, task: str) -> list[str]:
    """Type and message of the error that a task, or the start of a worker, ends in."""
    try:
        with open_executor(1, start, None, ExecutorChoice("ray")) as executor:
            executor.submit(task)
            executor.next_finished()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return []


def every_task(workers: int) -> list[int]:
    with open_executor(workers, squares, 5, ExecutorChoice("ray")) as executor:
        for task in range(20):
            executor.submit(task)
        return sorted(executor.next_finished()[1] for _ in range(20))


def run() -> dict[str, Any]:
    return {
        "results": every_task(3),
        **{task: failure(troubles, task) for task in ("refuse", "stumble", "exit")},
        "start": failure(broken, "nothing"),
    }


if __name__ == "__main__":
    folder, out, *drawn = sys.argv[1:]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=folder, _node_ip_address="127.0.0.1")
    try:
        Path(out, "found.json").write_text(json.dumps(run()))
        main(["synth", f"{out}/people", *drawn, "--workers", "2", "--ray"])
    finally:
        ray.shutdown()
