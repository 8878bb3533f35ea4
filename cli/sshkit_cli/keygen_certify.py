"""sshkit-keygen certifies keys (-s) and shows certificates (-L) (ssh-keygen(1), CERTIFICATES)."""

import os
import sys
from contextlib import contextmanager
from time import time
from typing import TYPE_CHECKING

from sshkit_keys.certificate_options import DEFAULT_USER_EXTENSIONS, EXTENSIONS, check_address_list
from sshkit_keys.certificate_times import FOREVER, format_validity, parse_validity
from sshkit_keys.certificates import Certificate, parse_key_or_certificate_line
from sshkit_keys.errors import CertificateError, KeyFileError, KeyFormatError
from sshkit_keys.key_files import load_public_key
from sshkit_keys.text import printable, quoted

from sshkit_cli.keygen import Options, UsageError
from sshkit_cli.keygen_files import key_path, load_private, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sshkit_keys.certificate_signing import CertificateSigner

MAX_SERIAL = 2**64 - 1
_LATE = ("force-command", "source-address")


class CertificatePlan:
    """What -O, -V, -n and -z say of the certificates to make."""

    def __init__(self, options: Options) -> None:
        values = options.values
        key_id = values.get("-I")
        if not key_id:
            raise KeyFormatError("Must specify key id (-I) when certifying")
        self.key_id = key_id
        self.host = "-h" in values
        self.principals = tuple(values["-n"].split(",")) if values.get("-n") else ()
        if not all(self.principals):
            raise CertificateError("an empty name among the principals (-n)")
        self.valid_after, self.valid_before = 0, FOREVER
        if "-V" in values:
            self.valid_after, self.valid_before = parse_validity(values["-V"], int(time()))
        serial = values.get("-z", "0")
        self.next_serial = _serial(serial.removeprefix("+"))
        self._step = 1 if serial.startswith("+") else 0
        self.critical: dict[str, str | bytes] = {}
        self.extensions: dict[str, str | bytes] = {} if self.host else dict(DEFAULT_USER_EXTENSIONS)
        for setting in options.settings:
            self._take(setting)
        if self.host:
            # What limits a login means nothing for a host, and a client refuses a host's critical options.
            self.critical = {name: value for name, value in self.critical.items() if name not in _LATE}

    def serial(self) -> int:
        """Return the serial number of the next certificate."""
        number = self.next_serial
        if number > MAX_SERIAL:
            raise CertificateError("the serial numbers are used up")
        self.next_serial += self._step
        return number

    def _take(self, setting: str) -> None:
        name, sign, value = setting.partition("=")
        kind, colon, named = name.partition(":")
        permission = f"permit-{name.removeprefix('no-').removeprefix('permit-')}"
        if setting == "clear":
            self.extensions.clear()
        elif colon and kind in ("critical", "extension") and named:
            (self.critical if kind == "critical" else self.extensions)[named] = value
        elif name in _LATE and value:
            if name in self.critical:
                raise CertificateError(f"{name} already specified")
            if name == "source-address":
                check_address_list(value)
            self.critical[name] = value
        elif setting == "verify-required":
            self.critical[setting] = ""
        elif setting == "no-touch-required":
            self.extensions[setting] = ""
        elif not sign and name.startswith("no-") and _extension(permission):
            self.extensions.pop(_extension(permission), None)
        elif not sign and name.startswith("permit-") and _extension(permission):
            self.extensions[_extension(permission)] = ""
        else:
            raise UsageError(f'Unsupported certificate option "{printable(setting)}"')


def _extension(name: str) -> str:
    """Return the extension of that name, which people may write in lower case, or ""."""
    return next((known for known in EXTENSIONS if known.lower() == name.lower()), "")


def _serial(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > MAX_SERIAL:
        raise UsageError(f"Invalid serial number {quoted(text)}")
    return int(text)


def certify(options: Options) -> int:
    """Sign the public keys in the files; each certificate goes beside its key, as NAME-cert.pub."""
    from sshkit_keys.certificate_signing import sign_certificate

    plan = CertificatePlan(options)
    if not options.files:
        raise UsageError("no key to certify")
    with _authority(options) as authority:
        for path in options.files:
            key = load_public_key(path)
            certificate = sign_certificate(
                authority,
                key,
                role="host" if plan.host else "user",
                key_id=plan.key_id,
                principals=plan.principals,
                serial=plan.serial(),
                valid_after=plan.valid_after,
                valid_before=plan.valid_before,
                critical_options=plan.critical,
                extensions=plan.extensions,
                algorithm=options.values.get("-t"),
                comment=key.comment,
                random_bytes=os.urandom,
            )
            _write(certificate, path, options)
    return 0


def _write(certificate: Certificate, path: str, options: Options) -> None:
    from sshkit_keys.key_files import write_public_key

    target = f"{path.removesuffix('.pub').removesuffix('-cert')}-cert.pub"
    write_public_key(target, certificate, overwrite=True)
    if not options.quiet:
        names = ",".join(certificate.principals)
        print(
            f"Signed {certificate.role} key {printable(target)}: "
            f'id "{printable(certificate.key_id)}" serial {certificate.serial}'
            f"{f' for {printable(names)}' if names else ''} "
            f"valid {format_validity(certificate.valid_after, certificate.valid_before)}",
            file=sys.stderr,
        )


@contextmanager
def _authority(options: Options) -> "Iterator[CertificateSigner]":
    """Give the key that signs: a file's, or with -U the agent's for that public key."""
    path = options.values["-s"]
    if "-U" in options.values:
        from sshkit_cli.keygen_agent import agent_key

        with agent_key(load_public_key(path)) as key:
            yield key
    else:
        yield load_private(path, options)


def show_certificates(options: Options) -> int:
    """Print the certificates of a file; status 1 if there is none."""
    from sshkit_keys.certificate_text import format_certificate

    data, place = read_file(key_path(options))
    lines = [line.decode("utf-8", "replace").strip() for line in data.splitlines()]
    texts = [(number, line) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    shown = 0
    for number, text in texts:
        where = f"{place}:{number}"
        try:
            key = parse_key_or_certificate_line(text, where)
        except KeyFileError as error:
            print(f"sshkit-keygen: {error}", file=sys.stderr)
            continue
        if not isinstance(key, Certificate):
            print(f"{printable(where)} is not a certificate", file=sys.stderr)
            continue
        print(f"{printable(place)}:" if len(texts) == 1 else f"{printable(where)}:")
        print("\n".join(format_certificate(key, options.hash_name)))
        shown += 1
    return 0 if shown else 1
