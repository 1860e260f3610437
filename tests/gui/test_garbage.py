"""Cycles of objects end in the window's thread, whichever thread makes objects."""

from __future__ import annotations

import gc
import threading
import weakref

from pytestqt.qtbot import QtBot

from atomseg_app.gui.app import Application


class Node:
    """Refers to itself, so that only the collector ends it; notes the thread in which it ends."""

    def __init__(self, ended_in: list[int]) -> None:
        self.itself = self
        self.ended_in = ended_in

    def __del__(self) -> None:
        self.ended_in.append(threading.get_ident())


def test_garbage_ends_in_the_windows_thread(qapp: Application, qtbot: QtBot) -> None:
    ended_in: list[int] = []
    node = weakref.ref(Node(ended_in))

    kept: list[list[int]] = []

    def make_many_objects() -> None:
        kept.extend([number] for number in range(20 * gc.get_threshold()[0]))

    worker = threading.Thread(target=make_many_objects)
    worker.start()
    worker.join()
    assert node() is not None, "nothing was collected on the other thread"
    qtbot.waitUntil(lambda: node() is None, timeout=10_000)
    assert ended_in == [threading.get_ident()]
