"""Reads sshd_config files: lines, blocks, files within files (sshd_config(5)).

Called by the command sshkit-server.  The first value of a keyword counts; all mistakes are found at once, in
blocks too.  Values are understood by `sshd_options`, criteria of blocks by `sshd_match`.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from sshkit_keys.text import printable

from .parser import COMMAND_LINE, MAX_INCLUDE_DEPTH, ConfigError, Line, parse_line, read_lines
from .sshd_keywords import OWN_DEFAULTS
from .sshd_match import Block, Criterion, MatchFacts, parse_criteria
from .sshd_options import ConfigErrors, ListenPlace, ServerOptions

__all__ = ["ConfigErrors", "ListenPlace", "MatchFacts", "ServerOptions", "read_server_config"]

#: Where relative names of an Include are looked for, as with sshd.
SYSTEM_FOLDER = "/etc/ssh"
#: Files that one configuration may be made of; files that include one another would never end.
MAX_FILES = 1024


def read_server_config(
    path: str | None, overrides: Iterable[str] = (), defaults: Mapping[str, Any] | None = OWN_DEFAULTS
) -> ServerOptions:
    """Return the settings of a file (None: no file), after the lines that the command line gives.

    `defaults` are those of a server that an ordinary user starts; None: sshd's own.  What is wrong is in
    `errors`: call `check` when everything has been read.  Raises OSError for a file that cannot be read.
    """
    reader = _Reader(ServerOptions(defaults))
    reader.take_overrides(overrides)
    if path is not None:
        reader.read(path, 0, ())
    reader.options.blocks = [block for block in reader.options.blocks if block.settings]
    reader.options.finish()
    return reader.options


class _Reader:
    """The way through one configuration."""

    __slots__ = ("_files", "options")

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self._files = 0

    def take_overrides(self, texts: Iterable[str]) -> None:
        """Obey lines of the command line."""
        for text in texts:
            try:
                line = parse_line(text, COMMAND_LINE)
                if line is None:
                    continue
                if line.keyword in ("match", "include"):
                    line.fail(f"{line.spelled} has no place here; write it into a file")
            except ConfigError as error:
                self.options.errors.append(error)
                continue
            self.options.take(line)
        self.options.close_ports()

    def read(self, path: str, depth: int, outer: tuple[Criterion, ...] | None) -> None:
        """Obey a file.  `outer`: criteria of the block that includes it; None: that block cannot be read."""
        self._files += 1
        try:
            lines = read_lines(path)
        except ConfigError as error:
            self.options.errors.append(error)
            return
        criteria = outer
        block = self._block(criteria)
        for line in lines:
            if line.keyword == "include":
                self._include(line, depth + 1, criteria)
                block = self._block(criteria)  # what follows counts after what was included
            elif line.keyword == "match":
                try:
                    own = parse_criteria(line)
                    criteria = None if outer is None else (*outer, *own)
                except ConfigError as error:
                    self.options.errors.append(error)
                    criteria = None
                block = self._block(criteria)
            else:
                self.options.take(line, block)

    def _block(self, criteria: tuple[Criterion, ...] | None) -> Block | None:
        """Return a place for the lines that hold under `criteria`; None for the global part."""
        if criteria == ():
            return None
        block = Block(criteria or ())
        if criteria is not None:
            self.options.blocks.append(block)
        return block

    def _include(self, line: Line, depth: int, criteria: tuple[Criterion, ...] | None) -> None:
        from glob import glob

        try:
            patterns = line.some()
            if "" in patterns:
                line.fail(f"{line.spelled}: an empty argument")
            if depth > MAX_INCLUDE_DEPTH:
                line.fail(f"more than {MAX_INCLUDE_DEPTH} files within files")
            for pattern in patterns:
                for path in sorted(glob(os.path.join(SYSTEM_FOLDER, pattern))):
                    if self._files >= MAX_FILES:
                        line.fail(f"more than {MAX_FILES} files")
                    self._included(path, line, depth, criteria)
        except ConfigError as error:
            self.options.errors.append(error)

    def _included(self, path: str, line: Line, depth: int, criteria: tuple[Criterion, ...] | None) -> None:
        try:
            self.read(path, depth, criteria)
        except OSError as error:
            line.fail(f"Include {printable(path)}: {error.strerror}")
