"""A small window's process for tests that kill it: ``python -m tests.jobs.window TASK [JSON]`` runs a task and waits.

Prints the process id of the compute process, then the log lines of the task.
"""

import json
import sys

from PySide6.QtCore import QCoreApplication, QTimer

from atomseg_app.jobs.engine import JobEngine
from atomseg_app.jobs.host import Host
from atomseg_app.jobs.tasks import Task


def main():
    application = QCoreApplication([])
    engine = JobEngine(Host(warm=False))
    engine.start()
    shown = []

    def show(job):
        if not shown:
            print(engine.worker_pid, flush=True)  # noqa: T201 - read by the test
            shown.append("")
        for line in job.log[len(shown) - 1 :]:
            print(line.partition("  ")[2], flush=True)  # noqa: T201
            shown.append(line)

    engine.job_changed.connect(show)
    engine.submit(Task(sys.argv[1], json.loads(sys.argv[2])), "a job")
    QTimer.singleShot(60_000, application.quit)
    application.exec()


if __name__ == "__main__":
    main()
