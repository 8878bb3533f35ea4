"""Reads ssh_config files: the blocks about this host, the first value of each keyword (ssh_config(5)).

Called by the command with the lines of its own command line first, then the user's file, then the
system's.  Blocks (Host, Match) and Include are understood here; values in `client_options`.
"""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sshkit_keys.text import printable, quoted

from .client_options import ClientOptions
from .parser import MAX_INCLUDE_DEPTH, ConfigError, Line, Place, Setting, read_lines
from .patterns import match_list, match_words
from .tokens import Facts, Tokens
from .without_effect import GONE, NOTE, WITHOUT_EFFECT


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
    for file in files:
        reader.read(file)
    if reader.canonicalize() or reader.final_wanted:
        reader.start_final()
        for file in files:
            reader.read(file)
    return reader.options


class _Reader:
    """One host's way through all files."""

    def __init__(self, host: str, facts: Facts) -> None:
        self.options = ClientOptions()
        self.final = False  #: the second time through, which ``Match final`` waits for
        self.final_wanted = False
        self._host = host  #: what Host blocks are about: the name that was typed, later the canonical one
        self._original = host
        self._facts = facts
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
        if line.keyword in WITHOUT_EFFECT:
            if active:
                self._without_effect(line)
        elif line.keyword in GONE:
            if active:
                self._tell(NOTE, f"{line.place}: {line.spelled} has no meaning any more")
        elif match_list(line.keyword, self.options.ignore_unknown.value, fold=True):
            self._tell(
                NOTE, f"{line.place}: {printable(line.spelled)} is unknown and ignored, as IgnoreUnknown says"
            )
        else:
            line.fail(f"unknown keyword {quoted(line.spelled)}")

    def canonicalize(self) -> bool:
        """Look the whole name up if CanonicalizeHostname says so; True if the files are to be read again."""
        options, facts = self.options, self._facts
        wanted = options.canonicalize_hostname.value
        proxied = options.proxy_command.value is not None or options.proxy_jump.value
        if wanted == "no" or (wanted != "always" and proxied) or facts.canonicalize is None:
            return False
        name = facts.canonicalize(self._hostname(), options)
        if name is not None:
            options.hostname = Setting(name.replace("%", "%%"), options.canonicalize_hostname.place)
        return True

    def start_final(self) -> None:
        """Begin the second time through: Host now means the name that is connected to."""
        self.final = True
        self._host = self._hostname()

    def _without_effect(self, line: Line) -> None:
        entry = WITHOUT_EFFECT[line.keyword]
        text = " ".join(line.some()).lower()
        if text not in entry.neutral:
            self._tell(entry.outcome, f"{line.place}: {entry.spelled} has no effect: {entry.reason}")

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
            return bool(match_list(self._original, patterns, fold=True))
        if criterion == "host":
            return bool(match_list(self._hostname(), patterns, fold=True))
        if criterion == "user":
            return bool(match_list(options.user.value or facts.user, patterns))
        if criterion == "localuser":
            return bool(match_list(facts.user, patterns))
        if criterion == "tagged":
            return bool(match_list(options.tag.value, patterns)) or (not patterns and not options.tag.value)
        if criterion == "command":
            return bool(match_list(self._command(), patterns))
        if criterion == "sessiontype":
            return bool(match_list(self._session_type(), patterns, fold=True))
        if criterion == "version":
            return bool(match_list(facts.version, patterns))
        if criterion == "localnetwork":
            return self._in_network(line, patterns)
        if criterion == "exec":
            return self._runs(line, patterns)
        return line.fail(f"Match: unknown criterion {quoted(criterion)}")

    def _command(self) -> str:
        return self._facts.command or self.options.remote_command.value or ""

    def _session_type(self) -> str:
        kind = self.options.session_type.value
        if kind == "default":
            return "exec" if self._command() else "shell"
        return kind

    def _in_network(self, line: Line, networks: str) -> bool:
        """Tell whether an address of this machine is in one of `networks` (with commas between them)."""
        from ipaddress import ip_address, ip_network

        known = self._facts.local_addresses
        addresses = [ip_address(text) for text in (known() if known is not None else ())]
        found = False
        for word in networks.split(","):
            negated = word.startswith("!")
            try:
                network = ip_network(word.removeprefix("!"))
            except ValueError:
                line.fail(f"Match localnetwork: {quoted(word)} is not a network such as 192.0.2.0/24")
            if any(address in network for address in addresses):
                if negated:
                    return False
                found = True
        return found

    def _runs(self, line: Line, command: str) -> bool:
        """Tell whether a command of the user's own ends with status 0."""
        run = self._facts.run_command
        if run is None:
            line.fail("Match exec has no place here: no commands are run")
        return run(self._tokens().expand(command, line.place))

    def _tokens(self) -> Tokens:
        options, facts = self.options, self._facts
        alias = options.host_key_alias.value or ""
        user = options.user.value or facts.user
        jump = ",".join(options.proxy_jump.value)
        return Tokens(facts, self._original, self._hostname(), options.port.value, user, alias, jump)

    def _hostname(self) -> str:
        """Return the name to connect to as far as it is known yet."""
        return expand_hostname(self.options, self._original)

    def _included(self, line: Line, folder: str) -> list[str]:
        """Return the files that an Include names, in order; patterns may match none."""
        from glob import glob

        tokens = self._tokens()
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
