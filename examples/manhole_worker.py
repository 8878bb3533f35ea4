"""A worker that blocks all day, with a manhole at a UNIX socket that only its own user can reach.

python examples/manhole_worker.py /run/worker.manhole
ssh -o ProxyCommand='nc -U /run/worker.manhole' worker '%threads'
ssh -o ProxyCommand='nc -U /run/worker.manhole' worker 'worker.done'

packaging/systemd/manhole-worker.service runs it as a service.
"""

import queue
import sys

from sshkit import manhole


class Worker:
    """Takes jobs from a queue, one after the other."""

    def __init__(self) -> None:
        self.jobs: queue.Queue[str | None] = queue.Queue()
        self.done = 0

    def run(self) -> None:
        """Work until somebody puts None into the queue."""
        while (job := self.jobs.get()) is not None:
            print(f"job {job}", flush=True)
            self.done += 1


def main(path: str) -> None:
    """Work, and let oneself be looked at."""
    worker = Worker()
    with manhole.start({"worker": worker}, path=path, audit=print):
        worker.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
