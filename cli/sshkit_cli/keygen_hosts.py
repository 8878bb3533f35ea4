"""sshkit-keygen keeps known_hosts files: finds (-F), removes (-R) and hashes (-H) names."""

import os
import sys

from sshkit_keys.errors import TrustFileError
from sshkit_keys.host_patterns import hashed_name
from sshkit_keys.key import PublicKey
from sshkit_keys.known_hosts import HostEntry, KnownHosts
from sshkit_keys.text import printable

from sshkit_cli.keygen import Options


def find(options: Options) -> int:
    """Print the lines about a host; status 1 if there is none."""
    path, name = _path(options), options.values["-F"]
    if not os.path.exists(path):
        raise TrustFileError("no such file", path)
    entries = KnownHosts.load([path]).find(name)
    for entry in entries:
        if not options.quiet:
            what = {"": "", "cert-authority": "CA", "revoked": "REVOKED"}[entry.marker]
            print(f"# Host {printable(name)} found: line {entry.line} {what}")
        _show(entry, name, options)
    return 0 if entries else 1


def _show(entry: HostEntry, name: str, options: Options) -> None:
    if "-l" in options.values:
        key = entry.key
        comment = f" {printable(entry.comment)}" if entry.comment else ""
        print(f"{printable(name)} {key.label} {key.fingerprint(options.hash_name)}{comment}")
        if options.verbosity:
            print(_picture(key, options.hash_name))
        return
    names = entry.patterns.text
    if "-H" in options.values and not entry.marker and not entry.patterns.digest:
        names = hashed_name(name.lower(), os.urandom)
    marker = f"@{entry.marker} " if entry.marker else ""
    kind, key_text = entry.key.to_line().split(" ")[:2]
    print(f"{marker}{printable(names, 4096)} {kind} {key_text} {printable(entry.comment, 1024)}".rstrip())


def _picture(key: PublicKey, hash_name: str) -> str:
    from sshkit_keys.fingerprints import randomart

    return randomart(key.blob, f"{key.label} {key.bits}", hash_name)


def remove(options: Options) -> int:
    """Remove a host; the file as it was is kept beside."""
    from sshkit_keys.known_hosts_edit import remove_host

    path, name = _path(options), options.values["-R"]
    removed = remove_host(path, name)
    if not removed:
        print(f"Host {printable(name)} not found in {printable(path)}", file=sys.stderr)
        return 0
    for entry in removed:
        print(f"# Host {printable(name)} found: line {entry.line}")
    _tell_updated(path)
    return 0


def hash_names(options: Options) -> int:
    """Hash all names of a file; the file as it was is kept beside."""
    from sshkit_keys.known_hosts_edit import hash_hosts

    path = _path(options)
    done = hash_hosts(path, os.urandom)
    for entry in done.patterns:
        if not entry.marker or any(sign in entry.patterns.text for sign in "*?!"):
            print(
                f"{printable(entry.place)}: ignoring host name with wildcard: "
                f"{printable(entry.patterns.text, 64)}",
                file=sys.stderr,
            )
    if done.changed:
        _tell_updated(path)
        print(f"WARNING: {printable(path)}.old contains unhashed entries", file=sys.stderr)
        print("Delete this file to ensure privacy of hostnames", file=sys.stderr)
    return 0


def _tell_updated(path: str) -> None:
    print(f"{printable(path)} updated.")
    print(f"Original contents retained as {printable(path)}.old", flush=True)


def _path(options: Options) -> str:
    return options.values.get("-f") or os.path.expanduser("~/.ssh/known_hosts")
