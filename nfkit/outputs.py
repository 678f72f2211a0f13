"""Where results go: checked before the work, written whole after it.

One guard for every output of every command. An output is never one of the inputs, nor another output of the same call,
through links too. A regular file is written under a temporary name and renamed, so that it is the old one or the new
one at any time; a symbolic link stays, and the file that it leads to is replaced; devices, pipes and what a shell has
opened (`/dev/stdout`, `/dev/fd/N`) are written into and never replaced.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Union

from nfkit.errors import OptionError, OutputError

PathLike = Union[str, "os.PathLike[str]"]

NAME_LIMIT = 255
"""Bytes of one name, on every common file system."""
REPORT_MARK = b"<!doctype html>\n<!-- nfkit report -->"
"""How every report begins, by which an older one is known."""
_LINKS_LIMIT = 40  # as Linux follows
_OPENED = re.compile(r"/dev/(?:(stdin|stdout|stderr)|fd/(\d+))|/proc/self/fd/(\d+)")
_REPLACEABLE = {"--json": (b"{", "record in JSON"), "--report": (REPORT_MARK, "report of nfkit")}
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}


def write_atomically(path: PathLike, content: bytes) -> Path:
    """Writes a file whole: under a temporary name beside it, then renamed; or into a device or pipe.

    Raises:
        OutputError: When it cannot be written.
    """
    path = Path(path)
    check_writable(path)
    target = find_target(path)
    try:
        if (opened := _opened(target)) is not None:
            sys.stdout.flush()
            with os.fdopen(os.dup(opened), "wb") as file:
                file.write(content)
        elif _is_stream(target):
            target.write_bytes(content)
        else:
            _replace(target, content)
    except OSError as error:
        raise OutputError(f"cannot write '{_shown(path)}': {error.strerror}") from error
    return path


def _replace(target: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".nfkit.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def find_target(path: PathLike) -> Path:
    """The file that a write to a path ends in, behind symbolic links.

    Raises:
        OutputError: When its name is too long, or its links lead in a circle.
    """
    path = Path(path)
    for part in path.parts:
        size = len(os.fsencode(part))
        if size > NAME_LIMIT:
            raise OutputError(
                f"cannot write '{part[:32]}…{part[-16:]}': the name has {size} bytes, file systems take {NAME_LIMIT}; "
                "choose a shorter one"
            )
    followed = path
    try:
        for _ in range(_LINKS_LIMIT):
            if _OPENED.fullmatch(str(followed)) or not followed.is_symlink():
                break
            followed = followed.parent / os.readlink(followed)
        else:
            raise OutputError(f"cannot write '{_shown(path)}': its symbolic links lead in a circle")
        return followed if _OPENED.fullmatch(str(followed)) else Path(os.path.realpath(followed))
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write '{_shown(path)}': {_reason(error)}") from error


def check_writable(path: PathLike) -> None:
    """Fails early, before hours of work, where a file could not be written later.

    Raises:
        OutputError: When the folder does not exist or takes no new files, or the path is a folder or a disk.
    """
    path, target = Path(path), find_target(path)
    if _opened(target) is not None:
        return
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        mode = 0
    except (OSError, ValueError) as error:
        # A file in place of a folder is no folder.
        mode = 0
        if not isinstance(error, NotADirectoryError):
            raise OutputError(f"cannot write '{_shown(path)}': {_reason(error)}") from error
    if stat.S_ISDIR(mode):
        raise OutputError(f"cannot write '{_shown(path)}': it is a folder; give a file name")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OutputError(f"cannot write '{_shown(path)}': it is a disk or a socket; give a file name")
    if mode and not stat.S_ISREG(mode):
        return
    if not target.parent.is_dir():
        folder = path.parent if not path.parent.is_dir() else target.parent
        home = "; the shell knows no such user" if str(path).startswith("~") else ""
        raise OutputError(
            f"cannot write '{_shown(path)}': there is no folder '{_shown(folder)}'; create it first{home}"
        )
    try:  # the only honest test: permissions, read-only mounts and quotas all count
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write into the folder '{_shown(target.parent)}' ({error.strerror}): choose another folder"
        ) from error


def check_outputs(
    outputs: Mapping[str, PathLike | None], inputs: Iterable[tuple[str, PathLike | None]] = (), *, force: bool = False
) -> None:
    """Refuses, before anything is computed, outputs that cannot be written or would destroy something.

    Args:
        outputs: Path by option; None for an output that is not wanted.
        inputs: (what it is, path) of everything that is read; what names no file counts for nothing. Of a folder, all
            files in it are meant.
        force: Whether files that exist may be replaced.

    Raises:
        OutputError: When one cannot be written.
        OptionError: When one is an input or another output, or exists and `force` is not given.
    """
    wanted = {option: Path(path) for option, path in outputs.items() if path is not None}
    for path in wanted.values():
        check_writable(path)
    existing: dict[str, tuple[Path, Path]] = {}
    seen: dict[str, str] = {}
    for option, path in wanted.items():
        target = find_target(path)
        if _opened(target) is not None or _is_stream(target):
            continue
        if (other := seen.setdefault(str(target), option)) != option:
            raise OptionError(f"{other} and {option} would both be written to '{_shown(path)}': give two names")
        if target.exists():
            existing[option] = path, target
    # Only what exists can be an input, and finding all files of one may mean to read it.
    given = [(name, Path(path)) for name, path in inputs if path is not None and _exists(path)] if existing else []
    for option, (path, target) in existing.items():
        _check_inputs(path, target, given)
        if option in _REPLACEABLE:
            _check_kind(option, path, target)
        elif not force:
            raise OptionError(f"'{_shown(path)}' exists: choose another name, or give --force to replace it")


def _check_inputs(path: Path, target: Path, given: list[tuple[str, Path]]) -> None:
    for name, source in given:
        if source.is_dir() and target.is_relative_to(source.resolve()):
            raise OptionError(
                f"the output '{_shown(path)}' is a file of {name}, which is never changed: choose another name"
            )
        if target.samefile(source):
            raise OptionError(
                f"the output '{_shown(path)}' is {name} itself, which is never changed: choose another name"
            )


def _check_kind(option: str, path: Path, target: Path) -> None:
    """Records and reports are replaced without a question, as logs are; nothing else is replaced by them."""
    begin, what = _REPLACEABLE[option]
    try:
        with open(target, "rb") as file:
            start = file.read(64).lstrip()
    except OSError as error:
        raise OutputError(f"cannot write '{_shown(path)}': {error.strerror}") from error
    if start and not start.startswith(begin):
        raise OptionError(f"'{_shown(path)}' exists and is no {what}: choose another name for {option}")


def _exists(path: PathLike) -> bool:
    try:
        return os.path.exists(path)
    except ValueError:
        return False


def _opened(target: Path) -> int | None:
    """The descriptor that a path such as /dev/stdout stands for."""
    match = _OPENED.fullmatch(str(target))
    if match is None:
        return None
    standard, *numbers = match.groups()
    return _STANDARD[standard] if standard else int(next(n for n in numbers if n))


def _is_stream(target: Path) -> bool:
    """Whether a file is a device or pipe, which is written into."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _shown(path: Path) -> str:
    """A path that any terminal can print."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
