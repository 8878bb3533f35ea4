"""What each request to an agent does (RFC 9987 section 5, ssh-agent(1)).

Called by the server through the table ACTIONS.  Each action reads its message, asks the policy, and returns
the answer; it raises Refused for what it will not do.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit_keys.errors import SSHKitError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.wire import WireReader, string

from sshkit.deferred import maybe_deferred
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.constraints import NONE, read_constraints
from sshkit.ssh.agent.destinations import Permission, permission
from sshkit.ssh.agent.errors import AgentError, ConstraintError
from sshkit.ssh.agent.key_blobs import plain_key
from sshkit.ssh.agent.policy import INTERNAL, AgentRequest
from sshkit.ssh.agent.private_keys import read_key
from sshkit.ssh.agent.signed_data import parse_signed_data

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.ssh.agent.client import AgentClient
    from sshkit.ssh.agent.keyring import HeldKey
    from sshkit.ssh.agent.server import AgentServer

T = TypeVar("T")

_SUCCESS = messages.Success().encode()
_FAILURE = messages.Failure().encode()
_EXTENSION_FAILURE = messages.ExtensionFailure().encode()

EXTENSIONS = (messages.QUERY, messages.SESSION_BIND)


class Refused(AgentError):
    """The agent will not; `answer` is what the client is told, which is not why."""

    def __init__(self, why: str, answer: bytes = _FAILURE) -> None:
        super().__init__(why)
        self.answer = answer


async def list_keys(server: "AgentServer", payload: bytes) -> bytes:
    """Answer with the keys that may be used over this connection, ours first."""
    messages.RequestIdentities.decode(payload)
    request = server.request("list")
    agent = server.agent
    entries: list[tuple[bytes, str]] = []
    if not agent.keyring.locked and await _permitted(server, request):
        entries = [(held.public.blob, held.comment) for held in agent.keyring if _visible(server, held)]
        listing = await server.upstreams.list_keys()
        for problem in listing.problems:
            agent.tell(request, "failed", f"an agent behind this one: {problem}")
        known = {blob for blob, _ in entries}
        if not agent.keyring.locked:
            entries += [(key.blob, key.comment) for key in listing.keys if key.blob not in known]
    parts: list[bytes] = []
    room = messages.MAX_MESSAGE - 5
    for blob, comment in entries[: messages.MAX_KEYS]:
        part = string(blob) + string(comment)
        if len(part) > room:
            break
        room -= len(part)
        parts.append(part)
    return messages.IdentitiesAnswer(len(parts), b"".join(parts)).encode()


async def sign(server: "AgentServer", payload: bytes) -> bytes:
    """Sign with a key of ours, or have the agent sign that has it."""
    message = messages.SignRequest.decode(payload)
    request = server.request("sign")
    request.key_blob = message.key
    agent = server.agent
    _refuse_if_locked(server)
    held = agent.keyring.get(message.key)
    if held is None:
        return await _sign_upstream(server, request, message)
    request.key, request.comment = held.public, held.comment
    request.algorithm = _algorithm(held.public, message.flags)
    request.data = parse_signed_data(message.data, message.key, held.public.signature_algorithms)
    if held.destinations:
        request.host = _check_destination(server, held, request).host
    await _ask_policy(server, request)
    if held.confirm:
        if agent.confirm is None:
            raise Refused("the key is to be confirmed at each use, and there is nobody to ask")
        if await _call(agent.confirm, request) is not True:
            raise Refused("the user refused")
    _check_websafe(server, held, request)
    if agent.keyring.locked or agent.keyring.get(message.key) is not held:
        raise Refused("the key has gone meanwhile")
    if agent.in_thread is not None and hasattr(held.signer, "key_handle"):
        # A device waits for a touch; the other connections do not.
        signature = await agent.in_thread(held.signer.sign, request.algorithm, message.data)
    else:
        signature = await _call(held.signer.sign, request.algorithm, message.data)
    return messages.SignResponse(signature).encode()


async def _sign_upstream(
    server: "AgentServer", request: AgentRequest, message: messages.SignRequest
) -> bytes:
    found: tuple[AgentClient, Any] | None = await server.upstreams.find(message.key)
    if found is None:
        raise Refused("the key is not held")
    client, key = found
    request.key, request.comment = key.public, key.comment
    if key.public is not None:
        request.algorithm = _algorithm(key.public, message.flags)
        request.data = parse_signed_data(message.data, message.key, key.public.signature_algorithms)
    await _ask_policy(server, request)
    _refuse_if_locked(server)
    signature = await client.request_signature(message.key, message.data, message.flags)
    return messages.SignResponse(signature).encode()


def _algorithm(key: "PublicKey", flags: int) -> str:
    """Return the label of the signature that is wanted.

    No flag means SHA-1 in the protocol, which nobody gets: SHA-512 then, which a client that insists on
    SHA-1 knows by its label, and ssh-add -T takes as well.
    """
    plain = plain_key(key)
    if plain.key_type == "ssh-rsa" and flags & messages.RSA_SHA2_256:
        return "rsa-sha2-256"
    return plain.signature_algorithms[0]


def _check_destination(server: "AgentServer", held: "HeldKey", request: AgentRequest) -> Permission:
    """Refuse unless the connection leads where the key may go, and the data is a login exactly there."""
    bindings, data = server.bindings.entries, request.data
    if not bindings:
        raise Refused("the key is limited to destinations, and the connection is not bound to a session")
    if data.kind != "login":
        raise Refused("the key is limited to destinations, and the data is no login")
    found = permission(held.destinations, bindings, False, data.user, server.agent.now())
    if not found.allowed:
        raise Refused(found.why)
    last = bindings[-1]
    if data.session_id != last.session_id:
        raise Refused("the login is not of the session to which the connection was bound last")
    if data.host_key is None and len(bindings) > 1:
        raise Refused("the login over a forwarded agent does not name its host's key")
    if data.host_key is not None and data.host_key != last.host_key:
        raise Refused("the login is at another host than the one to which the connection was bound last")
    return found


def _check_websafe(server: "AgentServer", held: "HeldKey", request: AgentRequest) -> None:
    """Keep keys of web sites from signing what a web site could take for its own challenge."""
    application = getattr(plain_key(held.public), "application", None)
    allowed = server.agent.restrictions.websafe
    if application is None or allowed is None or request.data.kind != "unknown":
        return
    if not any(matches_glob(pattern, application) for pattern in allowed):
        raise Refused("the security key is of a web application, and the data is neither login nor file")


async def add(server: "AgentServer", payload: bytes) -> bytes:
    """Hold a private key."""
    request = server.request("add")
    _refuse_if_locked(server)
    reader = WireReader(payload)
    reader.position = 1
    added = read_key(reader)
    request.key, request.key_blob = added.public, added.public.blob
    request.comment = added.comment
    limits = NONE
    if payload[0] == messages.ADD_IDENTITY_CONSTRAINED:
        limits = read_constraints(reader)
    reader.finish("add request")
    if limits.max_signatures:
        raise ConstraintError("a maximum of signatures is for XMSS keys only")
    if limits.provider:
        request.provider = limits.provider
        if not hasattr(added.private.public, "application"):
            raise ConstraintError("only security keys have a provider")
        if limits.provider.lower() != INTERNAL:
            raise Refused("no library is loaded for a security key")
    await _ask_policy(server, request)
    _refuse_if_locked(server)
    keyring = server.agent.keyring
    before = keyring.get(added.public.blob)
    if before is not None and not _visible(server, before):
        raise Refused("the key is held under limits that this connection does not meet")
    keyring.add(
        added.private,
        certificate=added.public,
        comment=added.comment,
        lifetime=limits.lifetime,
        confirm=limits.confirm,
        destinations=limits.destinations,
    )
    return _SUCCESS


async def remove(server: "AgentServer", payload: bytes) -> bytes:
    """Forget a key."""
    request = server.request("remove")
    request.key_blob = messages.RemoveIdentity.decode(payload).key
    _refuse_if_locked(server)
    keyring = server.agent.keyring
    held = keyring.get(request.key_blob)
    if held is None:
        raise Refused("the key is not held")
    request.key, request.comment = held.public, held.comment
    if not _visible(server, held):
        raise Refused("the key is held under limits that this connection does not meet")
    await _ask_policy(server, request)
    _refuse_if_locked(server)
    if not keyring.remove(request.key_blob):
        raise Refused("the key has gone meanwhile")
    return _SUCCESS


async def remove_all(server: "AgentServer", payload: bytes) -> bytes:
    """Forget every key of ours."""
    messages.RemoveAllIdentities.decode(payload)
    request = server.request("remove-all")
    _refuse_if_locked(server)
    await _ask_policy(server, request)
    _refuse_if_locked(server)
    server.agent.keyring.clear()
    return _SUCCESS


async def remove_all_version_1(server: "AgentServer", payload: bytes) -> bytes:
    """Forget the keys of SSH 1, of which there are none."""
    _refuse_if_locked(server)
    return _SUCCESS


async def lock(server: "AgentServer", payload: bytes) -> bytes:
    """Lock."""
    request = server.request("lock")
    passphrase = messages.Lock.decode(payload).passphrase
    _refuse_if_locked(server)
    await _ask_policy(server, request)
    if not server.agent.keyring.lock(passphrase):
        raise Refused("locked already, or an empty passphrase")
    return _SUCCESS


async def unlock(server: "AgentServer", payload: bytes) -> bytes:
    """Unlock."""
    request = server.request("unlock")
    passphrase = messages.Unlock.decode(payload).passphrase
    await _ask_policy(server, request)
    if not await server.agent.keyring.unlock(passphrase):
        raise Refused("not locked, or a wrong passphrase")
    return _SUCCESS


async def add_token(server: "AgentServer", payload: bytes) -> bytes:
    """Hold the keys of a token, if the program that serves this agent knows how."""
    request = server.request("add-token")
    _refuse_if_locked(server)
    reader = WireReader(payload)
    reader.position = 1
    request.provider = provider = reader.text("provider")
    pin = reader.text("PIN")
    constrained = payload[0] == messages.ADD_SMARTCARD_KEY_CONSTRAINED
    limits = read_constraints(reader, of_token=True) if constrained else NONE
    reader.finish("add token request")
    agent = server.agent
    if server.bindings.attempted and not agent.restrictions.remote_tokens:
        raise Refused("tokens are not added over a connection that may come from elsewhere")
    if agent.add_token is None:
        raise Refused("this agent loads no libraries")
    if not _is_provider(provider, agent.restrictions.providers):
        raise Refused("the library is not among those that are allowed")
    await _ask_policy(server, request)
    keys = await _call(agent.add_token, provider, pin, limits)
    _refuse_if_locked(server)
    held = 0
    for key in keys:
        certificates: list[PublicKey | None] = [
            certificate for certificate in limits.certificates if plain_key(certificate) == key.public
        ]
        if not limits.certificates_only:
            certificates.append(None)
        for certificate in certificates:
            if agent.keyring.get((certificate or key.public).blob) is None:
                agent.keyring.add(
                    key,
                    certificate=certificate,
                    comment=key.comment or provider,
                    lifetime=limits.lifetime,
                    confirm=limits.confirm,
                    destinations=limits.destinations,
                    provider=provider,
                )
                held += 1
    if not held:
        raise Refused("the token has no keys that are new")
    return _SUCCESS


async def remove_token(server: "AgentServer", payload: bytes) -> bytes:
    """Forget the keys of a token."""
    message = messages.RemoveSmartcardKey.decode(payload)
    request = server.request("remove-token")
    request.provider = message.provider.decode("utf-8", "replace")
    _refuse_if_locked(server)
    await _ask_policy(server, request)
    _refuse_if_locked(server)
    if not server.agent.keyring.remove_provider(request.provider):
        raise Refused("no keys of this token are held")
    return _SUCCESS


async def extension(server: "AgentServer", payload: bytes) -> bytes:
    """Answer `query`, and bind the connection to a session."""
    message = messages.Extension.decode(payload)
    if message.kind == messages.QUERY:
        server.request("other")
        names = b"".join(string(name) for name in EXTENSIONS)
        return messages.ExtensionResponse(messages.QUERY, names).encode()
    if message.kind != messages.SESSION_BIND:
        server.request("other")
        raise Refused("the extension is unknown")
    server.upstreams.bind(message.body)
    request = server.request("bind")
    if server.agent.keyring.locked:
        server.bindings.attempted = True
        raise Refused("locked")
    try:
        server.bindings.bind(message.body)
    except SSHKitError as error:
        raise Refused(str(error), _EXTENSION_FAILURE) from None
    request.bindings = server.bindings.entries
    return _SUCCESS


def _is_provider(path: str, patterns: Sequence[str]) -> bool:
    """Tell whether a library may be named: a plain absolute path that a pattern matches."""
    words = path.split("/")
    if words[0] or any(word in ("", ".", "..") for word in words[1:]):
        return False
    return any(matches_glob(pattern, path) for pattern in patterns)


def _visible(server: "AgentServer", held: "HeldKey") -> bool:
    bindings = server.bindings
    now = server.agent.now()
    return permission(held.destinations, bindings.entries, bindings.failed, None, now).allowed


def _refuse_if_locked(server: "AgentServer") -> None:
    if server.agent.keyring.locked:
        raise Refused("locked")


async def _permitted(server: "AgentServer", request: AgentRequest) -> bool:
    policy = server.agent.policy
    return policy is None or await _call(policy, request) is True


async def _ask_policy(server: "AgentServer", request: AgentRequest) -> None:
    if not await _permitted(server, request):
        raise Refused("the policy says no")


async def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what a program gave us, which may answer now or later."""
    return await maybe_deferred(function, *arguments)


ActionFunction = Callable[["AgentServer", bytes], Coroutine[Any, Any, bytes]]

ACTIONS: dict[int, ActionFunction] = {
    messages.REMOVE_ALL_VERSION_1: remove_all_version_1,
    messages.REQUEST_IDENTITIES: list_keys,
    messages.SIGN_REQUEST: sign,
    messages.ADD_IDENTITY: add,
    messages.REMOVE_IDENTITY: remove,
    messages.REMOVE_ALL_IDENTITIES: remove_all,
    messages.ADD_SMARTCARD_KEY: add_token,
    messages.REMOVE_SMARTCARD_KEY: remove_token,
    messages.LOCK: lock,
    messages.UNLOCK: unlock,
    messages.ADD_IDENTITY_CONSTRAINED: add,
    messages.ADD_SMARTCARD_KEY_CONSTRAINED: add_token,
    messages.EXTENSION: extension,
}
