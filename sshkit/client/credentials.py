"""What a user proves himself with: key files, a password, answers.

`FileCredentials` serves the library and, with questions on the terminal, the command.  Key files are
read when a connection starts; a passphrase is asked for when the server wants that key, not before.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import KeyFileError, SSHKitError

from sshkit.deferred import Deferred
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX
from sshkit.ssh.authentication.answers import awaited
from sshkit.ssh.authentication.client import Identity, Signer

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey, PublicKey
    from sshkit_keys.certificates import Certificate

    from sshkit.ssh.agent.client import AgentKey

DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

#: Runs what takes long in a thread: a reactor's `defer_to_thread`.
RunInThread = Callable[..., "Deferred[Any]"]
#: Hooks answer with a value, a coroutine or a Deferred.
AskPassword = Callable[[], "str | Awaitable[str | None] | None"]
AskPassphrase = Callable[[str], "str | Awaitable[str | None] | None"]
AskAnswers = Callable[
    [str, str, Sequence[tuple[str, bool]]], "list[str] | Awaitable[list[str] | None] | None"
]


class FileCredentials:
    """Identities from files and keys at hand, and answers by callbacks.

    `password` may be the password itself (tried once) or a callback (asked until it gives None).
    `passphrase` likewise unlocks key files; the callback gets the file's name, and is asked again after a
    wrong answer, `passphrase_tries` times in all.  `in_thread` derives keys from passphrases, which takes a
    second; without it, here and now.  A key's certificate is offered before it: that of `certificates`
    (files), or the one beside the key (KEY-cert.pub).  Keys of an agent come by `add_agent_keys`.  A key on a
    token signs in `token_thread` (None: `in_thread`), while `notify` tells that a touch is waited for.
    """

    def __init__(
        self,
        identities: "Sequence[str | os.PathLike[str] | PrivateKey] | None" = None,
        *,
        password: str | AskPassword | None = None,
        passphrase: str | AskPassphrase | None = None,
        answers: AskAnswers | None = None,
        interactive_tries: int = 1,
        passphrase_tries: int = 1,
        banner: Callable[[str], object] | None = None,
        warn: Callable[[str], object] | None = None,
        in_thread: RunInThread | None = None,
        certificates: Sequence[str] = (),
        token_thread: RunInThread | None = None,
        notify: Callable[[str], object] | None = None,
    ) -> None:
        self._in_thread = in_thread
        self._token_thread = token_thread or in_thread
        self._notify = notify
        self._interactive_limit = interactive_tries
        # A server that refuses before it has asked anything will not ask the next time either.
        self.interactive_tries = min(
            1, interactive_tries if answers is not None or password is not None else 0
        )
        self._password: str | AskPassword | None = password
        self._passphrase = passphrase
        self._passphrase_tries = passphrase_tries if callable(passphrase) else 1
        self._answers = answers
        self._banner = banner
        self._warn = warn
        self._password_used = False
        self._answered = False
        self.identities: list[Identity] = []
        self.problems: list[tuple[str, str]] = []  #: files that cannot be used, and why: for the trail
        self._lone: list[Identity] = []  # public keys from files: only an agent can sign for them
        self._certificates: list[tuple[Certificate, str]] = []
        for path in certificates:
            self._read_certificate(path, explicit=True)
        for identity in DEFAULT_IDENTITIES if identities is None else identities:
            self._add(identity, explicit=identities is not None)

    def add_agent_keys(self, keys: "Sequence[AgentKey]", only_named: bool = False) -> None:
        """Offer an agent's keys first: those that were named (by files or certificates), then the others.

        With `only_named` the others are left out (IdentitiesOnly).
        """
        held = {key.blob: key for key in keys if key.public is not None}
        named: list[Identity] = []
        for certificate, path in self._certificates:
            key = held.get(certificate.key.blob) or held.get(certificate.blob)
            if key is not None:
                named.append(Identity(certificate, f"{path} (agent)", key))
        for identity in (*self.identities, *self._lone):
            key = held.get(identity.public.blob)
            if key is not None and all(identity.public != other.public for other in named):
                named.append(Identity(identity.public, f"{identity.source} (agent)", key))
        others: list[Identity] = []
        if not only_named:
            known = {identity.public.blob for identity in named}
            for key in held.values():
                if key.blob not in known and key.public is not None:
                    others.append(Identity(key.public, f"{key.comment or 'a key'} (agent)", key))
        satisfied = {path.removesuffix(" (agent)") for path in (identity.source for identity in named)}
        self.problems = [problem for problem in self.problems if problem[0] not in satisfied]
        offered = {identity.public.blob for identity in (*named, *others)}
        rest = [identity for identity in self.identities if identity.public.blob not in offered]
        self.identities = [*named, *others, *rest]

    def password(self) -> "str | Awaitable[str | None] | None":
        if callable(self._password):
            return self._password()
        if self._password_used:
            return None
        self._password_used = True
        return self._password

    def answers(
        self, title: str, instruction: str, prompts: Sequence[tuple[str, bool]]
    ) -> "list[str] | Awaitable[list[str] | None] | None":
        """Ask the callback; without one, a single hidden question is taken for that of the password."""
        self.interactive_tries = self._interactive_limit
        if self._answers is not None:
            return self._answers(title, instruction, prompts)
        if len(prompts) != 1 or prompts[0][1] or self._answered:
            return None
        self._answered = True
        password = awaited(self._password() if callable(self._password) else self._password)
        if isinstance(password, Deferred):
            return password.add_callback(lambda text: None if text is None else [text])
        return None if password is None else [password]

    def show_banner(self, text: str) -> None:
        if self._banner is not None:
            self._banner(text)

    def _add(self, identity: "str | os.PathLike[str] | PrivateKey", explicit: bool) -> None:
        if not isinstance(identity, (str, os.PathLike)):
            signer = self._signer(identity)
            self.identities.append(Identity(identity.public, identity.comment or "given key", signer))
            return
        path = os.path.expanduser(os.fspath(identity))
        try:
            found = self._read(path)
        except FileNotFoundError:
            if os.path.exists(f"{path}.pub"):
                self._add_lone(f"{path}.pub")
            elif explicit:
                self.problems.append((path, "the file does not exist"))
                self._say(f"identity file {path} does not exist")
            return
        except KeyFileError as error:
            self.problems.append((path, error.cause))
            if not path.endswith(".pub") or not self._add_lone(path):
                self._say(str(error))
            return
        except OSError as error:
            cause = error.strerror or "the file cannot be read"
            self.problems.append((path, cause))
            self._say(f"{path}: {cause}")
            return
        self._read_certificate(f"{path}-cert.pub", explicit=False)
        if _holds_certificate(f"{path}.pub"):
            self._read_certificate(f"{path}.pub", explicit=False)
        for certificate, source in self._certificates:
            if certificate.key == found.public:
                self._offer(Identity(certificate, source, found.private, found.load))
        self._offer(found)

    def _add_lone(self, path: str) -> bool:
        """Keep a public key whose private half an agent may hold; False if the file has none."""
        from sshkit_keys import load_public_key

        try:
            self._lone.append(Identity(load_public_key(path), path))
        except (KeyFileError, OSError):
            return False
        self._read_certificate(f"{path.removesuffix('.pub')}-cert.pub", explicit=False)
        return True

    def _offer(self, found: Identity) -> None:
        if all(known.public != found.public for known in self.identities):
            self.identities.append(found)

    def _read_certificate(self, path: str, explicit: bool) -> None:
        from sshkit_keys import load_public_key

        if not explicit and not os.path.exists(path):
            return
        try:
            certificate = load_public_key(path)
        except (KeyFileError, OSError) as error:
            cause = error.cause if isinstance(error, KeyFileError) else error.strerror
            self.problems.append((path, cause or "the file cannot be read"))
            self._say(f"{path}: {cause}")
            return
        if not certificate.key_type.endswith(CERTIFICATE_SUFFIX):
            self.problems.append((path, "not a certificate"))
            self._say(f"{path}: not a certificate")
            return
        self._certificates.append((cast("Certificate", certificate), path))

    def _read(self, path: str) -> Identity:
        """Return the identity of a file: with its key where that is not encrypted, else with a question."""
        from sshkit_keys import PassphraseRequired, load_private_key, load_public_key

        try:
            key = load_private_key(path)
            return Identity(key.public, path, self._signer(key))
        except PassphraseRequired:
            public = self._public_half(path)
            if public is None:
                public = load_public_key(path + ".pub")
            return Identity(public, path, None, lambda: self._unlock(path))

    def _signer(self, key: "PrivateKey") -> "Signer":
        """Return what signs: the key itself, or for one on a token, something that waits beside the loop."""
        if not key.public.key_type.startswith("sk-") or self._token_thread is None:
            return key
        return TokenKey(key, self._token_thread, self._notify)

    def _public_half(self, path: str) -> "PublicKey | None":
        from sshkit_keys import parse_public_half

        with open(path, "rb") as file:
            data = file.read(1 << 20)
        try:
            return parse_public_half(data, path)
        except SSHKitError:
            return None

    def _unlock(self, path: str, tries: int = 0) -> "Signer | Deferred[Any] | None":
        passphrase = self._passphrase
        answer = awaited(passphrase(path)) if callable(passphrase) else passphrase
        tries = tries or self._passphrase_tries
        if not isinstance(answer, Deferred):
            return self._load(path, answer, tries - 1)

        def answered(text: str | None) -> Any:  # a key, or the Deferred of the next question
            return self._load(path, text, tries - 1)

        loaded: Deferred[Any] = answer.add_callback(answered)
        return loaded

    def _load(self, path: str, passphrase: str | None, tries_left: int) -> "Signer | Deferred[Any] | None":
        """Open the key; after a wrong passphrase ask again, unless the user gave an empty one."""
        from sshkit_keys import load_private_key

        if not passphrase:
            return None
        secret = passphrase.encode("utf-8", "surrogateescape")
        if self._in_thread is not None:
            loading: Deferred[Any] = self._in_thread(load_private_key, path, secret)
            return loading.add_callbacks(
                self._signer, lambda failure: self._not_loaded(failure.exception, path, tries_left)
            )
        try:
            return self._signer(load_private_key(path, secret))
        except (OSError, SSHKitError) as error:
            return self._not_loaded(error, path, tries_left)

    def _not_loaded(
        self, error: BaseException, path: str, tries_left: int
    ) -> "Signer | Deferred[Any] | None":
        """Ask again after a wrong passphrase; warn of what else went wrong, and go on without the key."""
        from sshkit_keys import WrongPassphrase

        if not isinstance(error, (OSError, SSHKitError)):
            raise error
        if isinstance(error, WrongPassphrase) and tries_left:
            return self._unlock(path, tries_left)
        self._say(str(error))
        return None

    def _say(self, text: str) -> None:
        if self._warn is not None:
            self._warn(text)


class TokenKey:
    """A key whose secret lies on a token: a signature may wait for a touch, so it is made in a thread."""

    __slots__ = ("_in_thread", "_notify", "key")

    def __init__(
        self, key: "PrivateKey", in_thread: RunInThread, notify: Callable[[str], object] | None
    ) -> None:
        self.key = key
        self._in_thread = in_thread
        self._notify = notify

    @property
    def public(self) -> "PublicKey":
        """The public half."""
        return self.key.public

    def sign(self, algorithm: str, data: bytes) -> "Deferred[bytes]":
        """Fires with the signature blob."""
        if self._notify is not None:
            public = self.key.public
            self._notify(f"Confirm user presence for key {public.label} {public.fingerprint()}\n")
        return self._in_thread(self.key.sign, algorithm, data)


def _holds_certificate(path: str) -> bool:
    """Tell whether a public key's file has the key's certificate in its place, as some lay them."""
    try:
        with open(path, "rb") as file:
            kind = file.read(256).split(b" ", 1)[0]
    except OSError:
        return False
    return kind.endswith(CERTIFICATE_SUFFIX.encode())
