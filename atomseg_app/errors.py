"""Errors that a user is meant to read: one sentence that says what, where and what to do."""


class UserError(ValueError):
    """Bad input or a refusal, worded for the user; shown as it is, without a traceback."""


class FileError(UserError):
    """A file that cannot be read or written; the sentence names the file and the reason."""


class NotAnImageError(FileError):
    """A readable file whose content is no image (a spectrum, 4D diffraction, a complex transform)."""

    def __init__(self, message: str, *, kind: str, shape: tuple[int, ...] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.shape = shape


class Cancelled(Exception):  # noqa: N818 - not an error: the user asked for it
    """Raised inside an operation when its job was cancelled."""
