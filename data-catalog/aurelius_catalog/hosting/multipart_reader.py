"""Request bodies of several objects (RFC 2387 multipart/related), split into files as they arrive."""

from __future__ import annotations

import secrets
from io import BufferedWriter
from pathlib import Path

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from aurelius_catalog.errors import InvalidRequest


class PartReader:
    """Writes each part of a body into a file of its own; memory does not grow with the body.

    Parameters
    ----------
    content_type
        The header that names the boundary.
    folder
        Where the files go, under random names.

    Raises
    ------
    InvalidRequest
        If the header names no boundary.
    """

    def __init__(self, content_type: str, folder: Path) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/related" or not 0 < len(boundary) <= 70:  # RFC 2046 section 5.1.1
            raise InvalidRequest("The body must be multipart/related with a boundary.")
        self.folder = folder
        self.is_whole = False
        self._file: BufferedWriter | None = None
        self._done: list[Path] = []
        self._parser = MultipartParser(
            boundary,
            {
                "on_headers_finished": self._open,
                "on_part_data": self._write,
                "on_part_end": self._close,
                "on_end": self._end,
            },
        )

    def feed(self, data: bytes) -> list[Path]:
        """Take the next bytes of the body; returns the parts that became complete.

        Raises
        ------
        InvalidRequest
            If the body is not a multipart message.
        OSError
            If it cannot be written to disk.
        """
        try:
            self._parser.write(data)
        except MultipartParseError as error:
            raise InvalidRequest("The body is not the multipart message that its header announces.") from error
        done, self._done = self._done, []
        return done

    def discard(self) -> None:
        """Remove the part that was not finished."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None

    def _open(self) -> None:
        self._file = (self.folder / f"{secrets.token_hex(16)}.part").open("xb")

    def _write(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._done.append(Path(self._file.name))
            self._file = None

    def _end(self) -> None:
        self.is_whole = True
