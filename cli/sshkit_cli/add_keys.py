"""What sshkit-add does with the agent, key file by key file.

Called by `add`, on the native engine.  A passphrase that opened one file is tried on the next before the
user is asked again, as ssh-add does.
"""

import os
import sys
from time import time
from typing import TYPE_CHECKING, cast

from sshkit_keys.errors import (
    KeyFileError,
    PassphraseRequired,
    SSHKitError,
    WrongPassphrase,
)
from sshkit_keys.key import PrivateKey, PublicKey
from sshkit_keys.key_files import MAX_KEY_FILE_BYTES, load_private_key, parse_private_key, parse_public_file
from sshkit_keys.text import printable

from sshkit.ssh.agent.errors import AgentRefused, AgentUnavailable
from sshkit_cli.add import NO_AGENT, Options

if TYPE_CHECKING:
    from sshkit_keys.certificates import Certificate

    from sshkit.interfaces import Reactor
    from sshkit.ssh.agent.client import AgentClient, AgentKey
    from sshkit.ssh.agent.destinations import Destination

DEFAULT_FILES = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk", "id_mldsa44_ed25519")
STDIN = "(stdin)"
FOR_EVER = 0xFFFFFFFFFFFFFFFF
GRACE = 300  #: seconds that a certificate stays beyond its validity: clocks differ
TEST_BYTES = 1024


class Session:
    """One run of the command."""

    def __init__(self, options: Options) -> None:
        from sshkit.reactor.engines import new_reactor
        from sshkit_cli.prompts import Prompter

        self.options = options
        self._reactor = cast("Reactor", new_reactor("native"))
        self._prompter = Prompter(self._reactor, _say, os.environ)
        self._passphrase: bytes | None = None
        self._destinations: tuple[Destination, ...] = ()

    def run(self, path: str) -> int:
        """Connect and do what was asked for; returns the exit status."""
        try:
            return self._reactor.run_until(self._main(path))
        finally:
            self._prompter.restore()
            self._reactor.close()

    async def _main(self, path: str) -> int:
        from sshkit.agent.connect import connect_agent

        try:
            agent = await connect_agent(path, reactor=self._reactor)
        except AgentUnavailable as error:
            _say(f"Error connecting to agent: {error}")
            return NO_AGENT
        options = self.options
        done = {
            "list": self._list,
            "clear": self._clear,
            "lock": self._lock,
            "unlock": self._unlock,
            "test": self._test,
            "add-token": self._add_token,
            "remove-token": self._remove_token,
            "resident": self._resident,
            "query": self._query,
            "remove": self._each_file,
            "add": self._each_file,
        }[options.action]
        try:
            return 0 if await done(agent) else 1
        finally:
            await agent.close()

    # Without files.

    async def _list(self, agent: "AgentClient") -> bool:
        keys = await agent.list_keys()
        if not keys:
            print("The agent has no identities.")
        for key in keys:
            print(self._whole_line(key) if self.options.whole else self._short_line(key))
        return bool(keys)

    def _whole_line(self, key: "AgentKey") -> str:
        from binascii import b2a_base64

        text = b2a_base64(key.blob, newline=False).decode("ascii")
        return f"{printable(key.key_type, 64)} {text} {printable(key.comment, 1024)}"

    def _short_line(self, key: "AgentKey") -> str:
        comment = printable(key.comment, 1024)
        if key.public is None:
            from sshkit_keys.fingerprints import fingerprint

            shown = fingerprint(key.blob, self.options.hash_name)
            return f"0 {shown} {comment} ({printable(key.key_type, 64)})"
        public = key.public
        return f"{public.bits} {public.fingerprint(self.options.hash_name)} {comment} ({public.label})"

    async def _clear(self, agent: "AgentClient") -> bool:
        try:
            await agent.remove_all()
        except AgentRefused:
            _say("Failed to remove all identities.")
            return False
        self._tell("All identities removed.")
        return True

    async def _lock(self, agent: "AgentClient") -> bool:
        first = await self._ask("Enter lock password: ")
        if first != await self._ask("Again: "):
            _say("Passwords do not match.")
            return False
        try:
            await agent.lock(first)
        except AgentRefused:
            _say("Failed to lock agent: agent refused operation")
            return False
        _say("Agent locked.")
        return True

    async def _unlock(self, agent: "AgentClient") -> bool:
        try:
            await agent.unlock(await self._ask("Enter lock password: "))
        except AgentRefused:
            _say("Failed to unlock agent: agent refused operation")
            return False
        _say("Agent unlocked.")
        return True

    async def _query(self, agent: "AgentClient") -> bool:
        try:
            names = await agent.extensions()
        except AgentRefused:
            _say("The agent does not tell its extensions.")
            return False
        for name in names:
            print(printable(name))
        return True

    async def _resident(self, agent: "AgentClient") -> bool:
        _say("Unable to load resident keys: reading keys out of a device is not supported")
        return False

    # Tokens.

    async def _add_token(self, agent: "AgentClient") -> bool:
        options = self.options
        destinations = self._read_destinations()
        certificates = [load_public(path) for path in options.files]
        pin = (await self._ask("Enter passphrase for PKCS#11: ")).decode("utf-8", "surrogateescape")
        try:
            await agent.add_smartcard(
                options.token,
                pin,
                lifetime=options.lifetime,
                confirm=options.confirm,
                destinations=destinations,
                certificates=certificates,
                certificates_only=options.certificates_only,
            )
        except AgentRefused:
            _say(f'Could not add card "{printable(options.token)}": agent refused operation')
            return False
        self._tell(f"Card added: {printable(options.token)}")
        return True

    async def _remove_token(self, agent: "AgentClient") -> bool:
        token = self.options.token
        try:
            await agent.remove_smartcard(token)
        except AgentRefused:
            _say(f'Could not remove card "{printable(token)}": agent refused operation')
            return False
        self._tell(f"Card removed: {printable(token)}")
        return True

    # With files.

    async def _test(self, agent: "AgentClient") -> bool:
        good = True
        for path in self.options.files:
            try:
                key = load_public(path)
            except (OSError, SSHKitError) as error:
                _say(f"Couldn't read public key {printable(path)}: {_cause(error)}")
                good = False
                continue
            try:
                await agent.sign(key, os.urandom(TEST_BYTES))
            except SSHKitError as error:
                why = "agent refused operation" if isinstance(error, AgentRefused) else str(error)
                _say(f"Agent signature failed for {printable(path)}: {why}")
                good = False
        return good

    async def _each_file(self, agent: "AgentClient") -> bool:
        options = self.options
        do = self._add_file if options.action == "add" else self._remove_file
        self._destinations = self._read_destinations()
        files = options.files
        if not files:
            folder = os.path.join(os.path.expanduser("~"), ".ssh")
            found = [os.path.join(folder, name) for name in DEFAULT_FILES]
            files = tuple(path for path in found if os.path.exists(path))
        # All are done, whatever becomes of the others.
        results = [await do(agent, path) for path in files]
        return bool(results) and all(results)

    async def _add_file(self, agent: "AgentClient", path: str) -> bool:
        key = await self._load(path)
        if key is None:
            return False
        shown = STDIN if path == "-" else path
        name = key.comment or shown
        options = self.options
        good = True
        if not options.certificates_only:
            try:
                await self._give(agent, key, name, None, options.lifetime)
            except SSHKitError as error:
                _say(f'Could not add identity "{printable(shown)}": {_cause(error)}')
                good = False
            else:
                self._tell(f"Identity added: {printable(shown)} ({printable(name)})")
                self._tell_limits(options.lifetime)
        if not options.keys_only and path != "-":
            good = await self._add_certificate(agent, key, name, f"{path}-cert.pub") and good
        return good

    async def _add_certificate(self, agent: "AgentClient", key: PrivateKey, name: str, path: str) -> bool:
        """Give the key once more with the certificate beside it, if there is one."""
        certificate = self._certificate(path, key.public)
        if certificate is None:
            return not (self.options.certificates_only or os.path.exists(path))
        lifetime = self.options.lifetime
        if not self.options.keep_certificates and certificate.valid_before != FOR_EVER:
            left = certificate.valid_before + GRACE - int(time())
            if left <= 0:
                _say(f"Certificate {printable(path)} has expired")
                return False
            lifetime = min(left, lifetime or left, 0xFFFFFFFF)
        shown = f"{printable(path)} ({printable(certificate.key_id)})"
        try:
            await self._give(agent, key, name, certificate, lifetime)
        except SSHKitError as error:
            _say(f"Certificate {shown} add failed: {_cause(error)}")
            return False
        self._tell(f"Certificate added: {shown}")
        self._tell_limits(lifetime)
        return True

    def _certificate(self, path: str, public: PublicKey) -> "Certificate | None":
        """Return the certificate in a file, if it is one of this key."""
        from sshkit_keys.certificates import Certificate

        try:
            found = _read_public(path)
        except FileNotFoundError:
            return None
        except (OSError, SSHKitError) as error:
            _say(f'Failed to load certificate "{printable(path)}": {_cause(error)}')
            return None
        if not isinstance(found, Certificate) or found.key != public:
            _say(f"Certificate {printable(path)} does not match private key {printable(path[:-9])}")
            return None
        return found

    async def _give(
        self, agent: "AgentClient", key: PrivateKey, name: str, certificate: PublicKey | None, lifetime: int
    ) -> None:
        await agent.add(
            key,
            comment=name,
            lifetime=lifetime,
            confirm=self.options.confirm,
            destinations=self._destinations,
            certificate=certificate,
            provider=self.options.provider if hasattr(key, "key_handle") else "",
        )

    def _tell_limits(self, lifetime: int) -> None:
        if lifetime:
            self._tell(f"Lifetime set to {lifetime} seconds")
        if self.options.confirm:
            self._tell("The user must confirm each use of the key")

    async def _load(self, path: str) -> PrivateKey | None:
        """Read a private key, asking for its passphrase if none that is known opens it."""
        shown = printable(STDIN if path == "-" else path)
        data = sys.stdin.buffer.read(MAX_KEY_FILE_BYTES) if path == "-" else b""

        def read(passphrase: bytes | None) -> PrivateKey:
            if path == "-":
                return parse_private_key(data, passphrase, STDIN)
            return load_private_key(path, passphrase)

        confirmed = " (will confirm each use)" if self.options.confirm else ""
        prompt = f"Enter passphrase for {shown}{confirmed}: "
        passphrase = None
        try:
            while True:
                try:
                    return read(passphrase)
                except PassphraseRequired:
                    if self._passphrase is not None:
                        passphrase = self._passphrase
                        continue
                except WrongPassphrase:
                    pass  # the one that opened another file, or a typing error
                self._passphrase = None
                passphrase = await self._ask(prompt)
                if not passphrase:
                    return None
                self._passphrase = passphrase
                prompt = f"Bad passphrase, try again for {shown}{confirmed}: "
        except OSError as error:
            _say(f"{shown}: {error.strerror}")
        except KeyFileError as error:
            _say(f'Error loading key "{shown}": {error.cause}')
        return None

    async def _remove_file(self, agent: "AgentClient", path: str) -> bool:
        options = self.options
        if path == "-":
            return await self._remove_stdin(agent)
        try:
            key = load_public(path)
        except (OSError, SSHKitError) as error:
            _say(f"Bad key file {printable(path)}: {_cause(error)}")
            return False
        good = not options.certificates_only and await self._remove_one(agent, key, path)
        if not options.keys_only:
            beside = f"{path}-cert.pub"
            certificate = self._certificate(beside, key)
            if certificate is not None:
                good = await self._remove_one(agent, certificate, beside) or good
        return good

    async def _remove_stdin(self, agent: "AgentClient") -> bool:
        good = False
        for number, line in enumerate(sys.stdin.buffer.read(MAX_KEY_FILE_BYTES).splitlines(), 1):
            if not line.strip() or line.lstrip().startswith(b"#"):
                continue
            try:
                key = parse_public_file(line, f"{STDIN}:{number}")
            except KeyFileError as error:
                _say(f"{STDIN}:{number}: {error.cause}")
                continue
            good = await self._remove_one(agent, key, STDIN) or good
        return good

    async def _remove_one(self, agent: "AgentClient", key: PublicKey, path: str) -> bool:
        try:
            await agent.remove(key)
        except AgentRefused as error:
            _say(f'Could not remove identity "{printable(path)}": {_cause(error)}')
            return False
        self._tell(f"Identity removed: {printable(path)} {key.label} ({printable(key.comment)})")
        return True

    # Shared.

    def _read_destinations(self) -> "tuple[Destination, ...]":
        if not self.options.destinations:
            return ()
        from sshkit_cli.add_destinations import parse_destinations

        return parse_destinations(self.options.destinations, self.options.host_key_files)

    async def _ask(self, prompt: str) -> bytes:
        answer = await self._prompter.ask(prompt)
        return b"" if answer is None else answer.encode("utf-8", "surrogateescape")

    def _tell(self, text: str) -> None:
        if not self.options.quiet:
            _say(text)


def load_public(path: str) -> PublicKey:
    """Read the public key that a path means: of that file, or of the .pub file beside it."""
    try:
        return _read_public(path)
    except (OSError, SSHKitError):
        if not os.path.exists(f"{path}.pub"):
            raise
        return _read_public(f"{path}.pub")


def _read_public(path: str) -> PublicKey:
    with open(path, "rb") as file:
        return parse_public_file(file.read(MAX_KEY_FILE_BYTES), path)


def _cause(error: Exception) -> str:
    if isinstance(error, AgentRefused):
        return "agent refused operation"
    if isinstance(error, KeyFileError):
        return error.cause
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
