"""One window for all: a second start hands its files to the first over a local socket. No network is involved."""

from __future__ import annotations

import getpass
import hashlib
import json
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from atomseg_app import places

_WAIT_MS = 800
_MAX_MESSAGE_BYTES = 1 << 20
_GREETING = b"atomseg-open 1\n"


def server_name() -> str:
    """Name of the socket: one for each user and settings folder."""
    key = f"{getpass.getuser()}|{places.settings_folder()}"
    return f"atomseg-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def hand_over(paths: list[str]) -> bool:
    """Give ``paths`` to the window that is running; False if there is none that answers."""
    socket = QLocalSocket()
    socket.connectToServer(server_name())
    if not socket.waitForConnected(_WAIT_MS):
        return False
    message = json.dumps([str(Path(path).absolute()) for path in paths]).encode() + b"\n"
    socket.write(_GREETING + message)
    socket.waitForBytesWritten(_WAIT_MS)
    answered = socket.waitForReadyRead(_WAIT_MS) and bytes(socket.readAll().data()) == b"ok\n"
    socket.disconnectFromServer()
    return answered


class InstanceServer(QObject):
    """Listens for later starts. ``files`` carries the paths they were given, none if there were none."""

    files = Signal(list)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._welcome)

    def listen(self) -> bool:
        """Become the window that others find; takes over the socket of one that crashed."""
        probe = QLocalSocket()
        probe.connectToServer(server_name())
        if probe.waitForConnected(_WAIT_MS):
            return False  # another window serves; listening anyway would take its place
        QLocalServer.removeServer(server_name())
        return self._server.listen(server_name())

    def close(self) -> None:
        """Stop listening."""
        self._server.close()

    def _welcome(self) -> None:
        while self._server.hasPendingConnections():
            socket = self._server.nextPendingConnection()
            socket.readyRead.connect(lambda s=socket: self._read(s))
            socket.disconnected.connect(socket.deleteLater)
            if socket.bytesAvailable():
                self._read(socket)

    def _read(self, socket: QLocalSocket) -> None:
        received = bytes(socket.peek(_MAX_MESSAGE_BYTES).data())
        if not received.startswith(_GREETING[: len(received)]) or len(received) >= _MAX_MESSAGE_BYTES:
            socket.abort()
            return
        if received.count(b"\n") < 2:
            return  # the rest is on its way
        socket.readAll()
        try:
            paths = json.loads(received[len(_GREETING) :])
        except ValueError:
            paths = None
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            socket.abort()
            return
        socket.write(b"ok\n")
        socket.flush()
        self.files.emit(paths)
