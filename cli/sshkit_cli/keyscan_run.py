"""The run of sshkit-keyscan: from host arguments and files to printed keys.

Called by `keyscan`.  It runs on the native engine.  Files are read and networks counted out while the scan
goes on, so a network of a million addresses takes no more memory than one of ten.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, cast

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from sshkit.client.destination import parse_destination
from sshkit.client.scan import DEFAULT_TYPES, PARALLEL, ScannedHost, ScanTarget, scan
from sshkit.reactor.engines.native import NativeReactor

from .keyscan import NOTHING_FOUND, Options
from .log import DEBUG, Log

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

MAX_LINE: Final = 65536  #: characters of a line of -f
MAX_NETWORK: Final = 1 << 20  #: addresses of one network; more would take days
#: Descriptors that a scan may need: every host has a connection for each type.
_DESCRIPTORS: Final = 1024


class ScanLog(Log):
    """Messages by the name of this command."""

    def error(self, text: str) -> None:
        self._write(f"sshkit-keyscan: {text}\n")


class ScanReactor(NativeReactor):
    """A reactor whose faults are told without a traceback."""

    def report(self, what: str, error: BaseException) -> None:
        """Tell a fault of our own code; the loop goes on."""
        ScanLog().error(f"internal error: {what}: {printable(f'{type(error).__name__}: {error}', 1000)}")


class Run:
    """One scan of all hosts."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._log = ScanLog(DEBUG) if options.verbose else ScanLog()
        self._found = False
        self._networks: set[str] = set()  #: the addresses under way that are of a network

    async def scan(self, reactor: "Reactor") -> int:
        """Ask all hosts; returns the exit status."""
        options = self._options
        hosts = scan(
            self._targets(),
            key_types=options.key_types or DEFAULT_TYPES,
            timeout=options.timeout,
            parallel=PARALLEL,
            family=options.family,
            reactor=reactor,
        )
        async for host in hosts:
            self._show(host)
        return 0 if self._found else NOTHING_FOUND

    # Whom to ask.

    def _targets(self) -> Iterator[ScanTarget]:
        for text in self._lines():
            try:
                yield from self._targets_of(text)
            except SSHKitError as error:
                self._log.error(str(error))

    def _lines(self) -> Iterator[str]:
        for path in self._options.files:
            if path == "-":
                with open(0, encoding="utf-8", errors="surrogateescape", closefd=False) as file:
                    yield from _without_comments(file)
            else:
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    yield from _without_comments(file)
        yield from self._options.hosts

    def _targets_of(self, text: str) -> Iterator[ScanTarget]:
        """Yield what "addrlist namelist" means: one host, or all of a network."""
        words = text.split(None, 1)
        if not words:
            return
        aliases = tuple(name for name in words[1].split(",") if name) if len(words) > 1 else ()
        if aliases and any(char.isspace() for char in words[1].strip()):
            raise SSHKitError(f"{quoted(text)}: a list of addresses and a list of names, and nothing more")
        aliases = tuple(name.strip() for name in aliases)
        if "/" in words[0]:
            for address in _network(words[0]):
                self._networks.add(address)
                yield ScanTarget(address, self._options.port, (), aliases)
            return
        addresses: list[str] = []
        port = None
        for word in filter(None, words[0].split(",")):
            where = parse_destination(word)
            if where.user is not None:
                raise SSHKitError(f"{quoted(word)}: a host has keys, not its user")
            if addresses and where.port not in (None, port):
                raise SSHKitError(f"{quoted(text)}: all addresses of one host have the same port")
            port = where.port or port
            addresses.append(where.host)
        if not addresses:
            raise SSHKitError(f"{quoted(text)}: no address")
        yield ScanTarget(addresses[0], port or self._options.port, tuple(addresses[1:]), aliases)

    # What they said.

    def _show(self, host: ScannedHost) -> None:
        options, log, target = self._options, self._log, host.target
        place = f"{printable(target.host)} port {target.port}"
        if host.identification and not options.quiet:
            # It stays a comment whatever the host calls itself: it is one line of harmless characters.
            sign = ";" if options.records else "#"
            log.info(f"{sign} {printable(target.host)}:{target.port} {host.identification}")
        for kind in host.missing:
            log.debug(f"{place}: no {kind} key")
        if not host.keys and not host.errors:
            log.error(f"{place}: it has no key of these types: {', '.join(host.missing)}")
        unanswered = target.host in self._networks and not host.identification
        self._networks.discard(target.host)
        for text in dict.fromkeys(str(error) for error in host.errors.values()):
            tell = log.debug if unanswered else log.error  # most addresses of a network are nobody's
            tell(text if place in text else f"{place}: {text}")
        try:
            lines = list(self._records(host) if options.records else host.lines(options.hashed))
        except SSHKitError as error:
            log.error(f"{place}: {error}")
            return
        if host.keys:
            self._found = True
        if lines:
            log.output("".join(f"{line}\n" for line in lines))

    def _records(self, host: ScannedHost) -> Iterator[str]:
        from sshkit_keys.errors import UnsupportedKey
        from sshkit_keys.host_patterns import check_host
        from sshkit_keys.sshfp import sshfp_records

        for key in host.keys.values():
            try:
                records = sshfp_records(key, self._options.hashes)
            except UnsupportedKey as error:
                self._log.error(f"{printable(host.target.host)} port {host.target.port}: {error}")
                continue
            for name in host.target.names:
                check_host(name, host.target.port)
                yield from (f"{name} {record.to_text()}" for record in records)


def run(options: Options) -> int:
    """Scan; returns the exit status."""
    for path in options.files:  # a file that is not there is told before anybody was asked
        if path != "-":
            open(path, "rb").close()
    _allow_descriptors()
    reactor = ScanReactor()
    try:
        return reactor.run_until(Run(options).scan(cast("Reactor", reactor)))
    finally:
        reactor.close()


def _without_comments(file: Iterable[str]) -> Iterator[str]:
    """Yield the lines that say something, up to a "#"."""
    for line in file:
        text = line.partition("#")[0].strip()
        if len(text) > MAX_LINE:
            raise SSHKitError(f"a line of {len(text)} characters, {MAX_LINE} allowed")
        if text:
            yield text


def _network(text: str) -> Iterator[str]:
    """Yield all addresses of "address/bits"."""
    from ipaddress import ip_network

    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise SSHKitError(f"{quoted(text)} is no network") from None
    if network.num_addresses > MAX_NETWORK:
        raise SSHKitError(f"{quoted(text)} has {network.num_addresses} addresses, {MAX_NETWORK} are allowed")
    for address in network:
        yield str(address)


def _allow_descriptors() -> None:
    """Raise the soft limit on open files, where it is low, as far as the scan may need."""
    from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit, setrlimit

    soft, hard = getrlimit(RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != RLIM_INFINITY and soft < wanted:
        try:
            setrlimit(RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # then fewer hosts are reached, and it says so
            pass
