"""Reads ssh_config files: the blocks about this host, the first value of each keyword (ssh_config(5)).

Called by the command with the lines of its own command line first, then the user's file, then the
system's.  Blocks (Host, Match) and Include are understood here; values in `client_options`.
"""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sshkit_keys.text import printable, quoted

from .client_options import ClientOptions
from .not_yet import FORWARDS, GONE, NOT_YET, NOTE, REFUSE
from .parser import MAX_INCLUDE_DEPTH, ConfigError, Line, Place, read_lines
from .patterns import match_list, match_words
from .tokens import Facts, Tokens


class ConfigFile(NamedTuple):
    """A file to read."""

    path: str
    folder: str  #: where an Include without a leading "/" looks
    required: bool = False  #: it is an error if the file is missing
    guarded: bool = False  #: only its owner (or root) may write it, else it is an error


def load_client_options(
    host: str, facts: Facts, lines: Iterable[Line] = (), files: Sequence[ConfigFile] = ()
) -> ClientOptions:
    """Return what `lines` (the command line) and `files` say about `host`; ConfigError names file:line."""
    reader = _Reader(host, facts)
    for line in lines:
        if line.keyword in ("host", "match", "include"):
            line.fail(f"{line.spelled} has no place here; write it into a file")
        reader.obey(line, True)
    for final in (False, True):
        reader.final = final
        for file in files:
            reader.read(file)
        if not reader.final_wanted:
            break
    reader.judge_forwards()
    return reader.options


class _Reader:
    """One host's way through all files."""

    def __init__(self, host: str, facts: Facts) -> None:
        self.options = ClientOptions()
        self.final = False  #: the second time through, which ``Match final`` waits for
        self.final_wanted = False
        self._host = host
        self._facts = facts
        self._forwards: list[Line] = []
        self._noted: set[str] = set()

    def read(self, file: ConfigFile, depth: int = 0, active: bool = True) -> None:
        """Obey a file; `active` False: only check it, it is included in a block about other hosts."""
        if depth > MAX_INCLUDE_DEPTH:
            raise ConfigError(f"more than {MAX_INCLUDE_DEPTH} files within files", Place(file.path))
        try:
            if file.guarded:
                _check_owner(file.path)
            lines = read_lines(file.path)
        except FileNotFoundError:
            if file.required:
                raise ConfigError("the file does not exist", Place(file.path)) from None
            return
        except OSError as error:
            if not file.required and isinstance(error, (PermissionError, NotADirectoryError)):
                self._tell(NOTE, f"{printable(file.path)}: {error.strerror}")
                return
            raise ConfigError(error.strerror or "cannot be read", Place(file.path)) from None
        within = active  # the block that we are in is about this host
        for line in lines:
            if line.keyword == "host":
                within = bool(match_words(self._host, line.some())) and active
            elif line.keyword == "match":
                within = active and self._matches(line)
            elif line.keyword == "include":
                for path in self._included(line, file.folder):
                    self.read(file._replace(path=path, required=False), depth + 1, within)
            else:
                self.obey(line, within)

    def obey(self, line: Line, active: bool) -> None:
        """Obey one line that opens no block."""
        if self.options.obey(line, active):
            return
        if line.keyword in NOT_YET:
            if active:
                self._not_yet(line)
        elif line.keyword in GONE:
            if active:
                self._tell(NOTE, f"{line.place}: {line.spelled} has no meaning any more")
        elif line.keyword == "refuseconnection":
            if active:
                line.fail(f"refused: {printable(' '.join(line.some()))}")
        elif match_list(line.keyword, self.options.ignore_unknown.value, fold=True):
            self._tell(
                NOTE, f"{line.place}: {printable(line.spelled)} is unknown and ignored, as IgnoreUnknown says"
            )
        else:
            line.fail(f"unknown keyword {quoted(line.spelled)}")

    def judge_forwards(self) -> None:
        """Refuse forwards that were asked for, now that it is known whether all are to be cleared."""
        if self._forwards and not self.options.clear_all_forwardings.value:
            line = self._forwards[0]
            line.fail(f"{line.spelled} is not supported yet; ClearAllForwardings=yes connects without it")

    def _not_yet(self, line: Line) -> None:
        outcome, neutral = NOT_YET[line.keyword]
        text = " ".join(line.arguments).lower()
        if not text:
            line.fail(f"missing argument for {line.spelled}")
        if text in neutral:
            return
        if line.keyword in FORWARDS:
            self._forwards.append(line)
        elif outcome == REFUSE:
            line.fail(f"{line.spelled} {printable(text, 60)} is not supported yet")
        else:
            self._tell(outcome, f"{line.place}: {line.spelled} is not supported yet and was ignored")

    def _tell(self, kind: str, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self.options.notes.append((kind, text))

    def _matches(self, line: Line) -> bool:
        """Tell whether all criteria of a Match line hold."""
        words = line.some()
        result = True
        index = 0
        while index < len(words):
            word, equals, argument = words[index].partition("=")
            negated = word.startswith("!")
            criterion = word.removeprefix("!").lower()
            index += 1
            if criterion == "all":
                before = [word.lower() for word in words[: index - 1]]
                if negated or index < len(words) or before not in ([], ["final"], ["canonical"]):
                    line.fail('Match: "all" stands alone')
                holds = True
            elif criterion == "final":
                self.final_wanted = True
                holds = self.final
            elif criterion == "canonical":
                holds = self.final
            else:
                if not equals:
                    if index >= len(words):
                        line.fail(f"Match: {quoted(word)} without an argument")
                    argument = words[index]
                    index += 1
                if not result:  # what cannot change the outcome need not be understood
                    continue
                holds = self._criterion(line, criterion, argument)
            result = result and holds != negated
        return result

    def _criterion(self, line: Line, criterion: str, patterns: str) -> bool:
        options, facts = self.options, self._facts
        if criterion == "originalhost":
            return bool(match_list(self._host, patterns, fold=True))
        if criterion == "host":
            return bool(match_list(self._hostname(), patterns, fold=True))
        if criterion == "user":
            return bool(match_list(options.user.value or facts.user, patterns))
        if criterion == "localuser":
            return bool(match_list(facts.user, patterns))
        if criterion in ("exec", "localnetwork", "tagged", "command", "version", "sessiontype"):
            line.fail(f"Match {criterion} is not supported yet")
        return line.fail(f"Match: unknown criterion {quoted(criterion)}")

    def _hostname(self) -> str:
        """Return the name to connect to as far as it is known yet."""
        return expand_hostname(self.options, self._host)

    def _included(self, line: Line, folder: str) -> list[str]:
        """Return the files that an Include names, in order; patterns may match none."""
        from glob import glob

        options, facts = self.options, self._facts
        user = options.user.value or facts.user
        alias = options.host_key_alias.value or ""
        tokens = Tokens(facts, self._host, self._hostname(), options.port.value, user, alias)
        found: list[str] = []
        for argument in line.some():
            path = tokens.expand_path(argument, line.place)
            found += sorted(glob(os.path.join(folder, path)))
        return found


def expand_hostname(options: ClientOptions, host: str) -> str:
    """Return what to connect to: Hostname with ``%h`` replaced, else the host that was named."""
    text, place = options.hostname.value, options.hostname.place
    if text is None:
        return host.lower()
    parts = text.split("%%")
    for part in parts:
        if "%" in part.replace("%h", ""):
            raise ConfigError("Hostname: only %h and %% have a meaning here", place)
    return "%".join(part.replace("%h", host) for part in parts).lower()


def _check_owner(path: str) -> None:
    """Raise ConfigError for a file of another user, or one that others may write."""
    status = os.stat(path)
    if status.st_uid not in (0, os.getuid()) or status.st_mode & 0o022:
        raise ConfigError(
            "it belongs to another user, or others may write it; `chmod go-w` makes it safe", Place(path)
        )
