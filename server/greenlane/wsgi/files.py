"""What the kernel can send by itself: the file behind a response, if there is one.

Rule: `wsgi.file_wrapper` is the standard library's, an iterable like any other
for whoever wraps or reads it; here is only found out whether the file in it has
the bytes that it reads. Imports nothing of ours.
"""

import io
import os
import stat
from dataclasses import dataclass
from typing import Any
from wsgiref.util import FileWrapper


@dataclass(frozen=True, slots=True)
class RegularFile:
    """A part of a file, from a position to its end.

    Args:
        descriptor: of the file, which its owner closes.
        position: of the first byte.
        size: bytes from there to the end.

    """

    descriptor: int
    position: int
    size: int


def regular_file(wrapper: FileWrapper) -> RegularFile | None:
    """Return the file that `wrapper` reads, or None when the kernel cannot stand in for its `read`.

    A file object that decompresses or decodes has a descriptor too, whose bytes are
    others than those it reads, so only what `open` returns for bytes will do.
    """
    file: Any = wrapper.filelike
    raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file
    if type(raw) is not io.FileIO:
        return None
    try:
        descriptor = file.fileno()
        position = file.tell()
        status = os.fstat(descriptor)
    except (OSError, ValueError):
        return None
    size = status.st_size - position
    # Of size 0 are also the files of /proc, which have content all the same: reading tells.
    return RegularFile(descriptor, position, size) if stat.S_ISREG(status.st_mode) and size > 0 else None
