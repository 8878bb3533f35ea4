"""sshkit-server: an SSH server for the user who starts it, with sshd's options and configuration file.

Options, files and messages are sshd's (sshd(8), sshd_config(5)).  Without any configuration it makes
itself a host key, listens on 127.0.0.1 port 2222 and lets in the user who started it.  Exit status 255 for
every error; a configuration's mistakes are shown all at once, each with its file and line.
"""

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.server.own_files import config_path, make_own_key, own_folder
from sshkit_cli.server_options import USAGE, Options, UsageError, parse

if TYPE_CHECKING:
    from sshkit.config.sshd_config import ServerOptions
    from sshkit.server.configured import LoadKeys, Plan
    from sshkit.server.daemon import Daemon, Detached, Planned
    from sshkit.server.event_log import EventLog

FAILED = 255
#: Where a server without any configuration listens.
OWN_PLACE = ("127.0.0.1", 2222)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        if options.version:
            from sshkit import __version__

            print(f"sshkit-server {__version__}", file=sys.stderr)
            return 0
        return _run(options)
    except UsageError as error:
        print(f"sshkit-server: {error}", USAGE, sep="\n", file=sys.stderr)
    except SSHKitError as error:
        for line in str(error).splitlines():
            print(f"sshkit-server: {line}", file=sys.stderr)
    except OSError as error:
        place = f"{printable(os.fsdecode(error.filename))}: " if error.filename else ""
        print(f"sshkit-server: {place}{error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    return FAILED


def _run(options: Options) -> int:
    configuration = _read(options)
    if options.dump_only:
        configuration.check()
        _dump(options, configuration)
        return 0
    if options.test or options.dump:
        _plan(options, configuration)
        if options.dump:
            _dump(options, configuration)
        return 0
    planned = _planned(options, configuration)
    try:
        return _serve(options, planned)
    finally:
        if planned.holder is not None:
            planned.holder.close()


def _read(options: Options) -> "ServerOptions":
    """Read the configuration; root has sshd's own defaults."""
    from sshkit.config.sshd_config import read_server_config
    from sshkit.config.sshd_keywords import OWN_DEFAULTS

    path = options.config_file or config_path()
    defaults = OWN_DEFAULTS if os.geteuid() or path is None else None
    configuration = read_server_config(path, options.overrides, defaults)
    if path is None:
        _set_own_defaults(configuration)
    return configuration


def _plan(options: Options, configuration: "ServerOptions", load_keys: "LoadKeys | None" = None) -> "Plan":
    from sshkit.server import configured
    from sshkit.server.accounts import own_account

    own_key = None
    if not configuration.host_keys.value and not configuration.errors:
        own_key = make_own_key(own_folder())
    account = own_account() if os.geteuid() else None
    return configured.Planner(configuration, account, load_keys or configured.load_keys).make(own_key)


def _planned(options: Options, configuration: "ServerOptions") -> "Planned":
    """Plan a server that is to run: where root runs it, a process of its own holds the host keys."""
    from sshkit.server.daemon import Planned

    if os.geteuid():
        return Planned(_plan(options, configuration), None)
    from sshkit.server.workers.key_holder import KeyHolder
    from sshkit.server.workers.supervisor import unprivileged

    holder = KeyHolder(unprivileged())
    try:
        return Planned(_plan(options, configuration, holder.load), holder)
    except BaseException:
        holder.close()
        raise


def _dump(options: Options, configuration: "ServerOptions") -> None:
    from sshkit_cli.server_dump import dumped

    print(dumped(options, configuration))


def _set_own_defaults(configuration: "ServerOptions") -> None:
    """Let a server without a configuration file be reachable from this machine only."""
    from sshkit.config.parser import DEFAULT, Setting

    host, port = OWN_PLACE
    if configuration.listen_addresses.place is DEFAULT:
        configuration.listen_addresses = Setting(((host, None),))
    if configuration.ports.place is DEFAULT:
        configuration.ports = Setting((port,))


def _serve(options: Options, planned: "Planned") -> int:
    from sshkit.server.daemon import Daemon, PidFile, detach
    from sshkit.server.event_log import catch_library_logs

    plan = planned.plan
    configuration = plan.options
    background = not (options.foreground or options.debug or options.inetd)
    log_file = -1
    if options.log_file is not None:
        log_file = os.open(options.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    pid_path = configuration.pid_file.value
    if pid_path is not None:
        pid_path = os.path.abspath(pid_path)
    detached: Detached | None = detach() if background else None
    log = _open_log(options, configuration, log_file, background)
    catch_library_logs(log)
    for note in configuration.notes:
        log("verbose", note)
    pid_file: PidFile | None = None
    told = False

    def ready(daemon: Daemon) -> None:
        nonlocal pid_file, told
        text = _ready_line(daemon.plan, daemon)
        if pid_path is not None and not options.debug:
            try:
                pid_file = PidFile(pid_path)
            except OSError as error:
                log("error", f"PidFile {pid_path}: {error.strerror}")
        if told:  # it was, before the configuration was read again
            return
        told = True
        if detached is not None or log_file >= 0:
            log("info", text)
        if detached is not None:
            detached.report(0, "" if options.quiet else f"sshkit-server: {text}\n")
        elif not options.quiet:
            print(f"sshkit-server: {text}", file=sys.stderr, flush=True)

    def replan() -> "Planned":
        return _planned(options, _read(options))

    try:
        daemon = Daemon(
            planned,
            log,
            replan=replan,
            once=bool(options.debug),
            log_descriptors=(log_file,) if log_file >= 0 else (),
        )
        if options.inetd:
            daemon.serve_descriptors()
        else:
            daemon.listen_and_run(ready)
        from signal import SIGINT

        ended_early = options.inetd and daemon.gave_up
        return FAILED if daemon.signal == SIGINT or ended_early else 0
    except SSHKitError as error:
        if detached is None:
            raise
        log("fatal", str(error))
        detached.report(FAILED, f"sshkit-server: {error}\n")
        return FAILED
    finally:
        if pid_file is not None:
            pid_file.remove()
        if detached is not None:
            _leave(detached)


def _leave(detached: "Detached") -> None:
    detached.report(FAILED, "sshkit-server: the daemon ended before it listened\n")


def _open_log(
    options: Options, configuration: "ServerOptions", log_file: int, background: bool
) -> "EventLog":
    """Return the log: a file (-E), standard error (-e, -d, -D), else the system's."""
    from sshkit.server.event_log import EventLog, descriptor_sink, syslog_sink

    if log_file >= 0:
        sink = descriptor_sink(log_file, stamped=configuration.log_format.value != "json")
    elif options.log_to_stderr or options.debug or not (background or options.inetd):
        sink = descriptor_sink(2, stamped=False)
    else:
        sink = syslog_sink(configuration.syslog_facility.value)
    as_json = configuration.log_format.value == "json"
    return EventLog(configuration.log_level.value, sink, as_json=as_json)


def _ready_line(plan: "Plan", daemon: "Daemon") -> str:
    """Return the one line that tells how to reach the server."""
    addresses = daemon.addresses
    places = ", ".join(f"{address[0]} port {address[1]}" for address in addresses)
    fingerprints = " ".join(f"{key.public.label} {key.public.fingerprint()}" for key in plan.host_keys)
    host, port = addresses[0][:2]
    if host in ("0.0.0.0", "::"):
        host = "localhost"
    name = printable(plan.account.name if plan.account is not None else "root")
    return f"listening on {places}; host key {fingerprints}; connect with: ssh -p {port} {name}@{host}"


def run() -> NoReturn:
    """Run as a script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
