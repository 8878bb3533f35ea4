"""Every message of the agent protocol (RFC 9987, PROTOCOL.agent of OpenSSH).

Called by the client and the server of this room.  A message travels as a string: its length in four bytes,
then one byte with its number, then its fields.
"""

from sshkit.ssh.messages.record import Boolean, Message, Rest, String, Text, UInt32, message, record
from sshkit.ssh.messages.record import Record as PlainRecord

FAILURE, SUCCESS = 5, 6
REMOVE_ALL_VERSION_1 = 9  #: of SSH 1; ssh-add still sends it, and it is answered like a success
REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
SIGN_REQUEST, SIGN_RESPONSE = 13, 14
ADD_IDENTITY, REMOVE_IDENTITY, REMOVE_ALL_IDENTITIES = 17, 18, 19
ADD_SMARTCARD_KEY, REMOVE_SMARTCARD_KEY = 20, 21
LOCK, UNLOCK = 22, 23
ADD_IDENTITY_CONSTRAINED, ADD_SMARTCARD_KEY_CONSTRAINED = 25, 26
EXTENSION, EXTENSION_FAILURE, EXTENSION_RESPONSE = 27, 28, 29

#: Flags of a sign request: which hash an RSA key shall sign with; neither would mean SHA-1.
RSA_SHA2_256, RSA_SHA2_512 = 2, 4

QUERY = "query"
SESSION_BIND = "session-bind@openssh.com"

#: OpenSSH's limits, on both sides.
MAX_MESSAGE = 256 * 1024
MAX_KEYS = 2048


@message(FAILURE)
class Failure(Message):
    """The request was refused or failed; nothing tells which."""


@message(SUCCESS)
class Success(Message):
    """The request was carried out."""


@message(REQUEST_IDENTITIES)
class RequestIdentities(Message):
    """Ask for the public keys (RFC 9987 section 5.5)."""


@message(IDENTITIES_ANSWER)
class IdentitiesAnswer(Message):
    """The public keys; `body` is key blob and comment, `count` times."""

    count: UInt32
    body: Rest


@message(SIGN_REQUEST)
class SignRequest(Message):
    """Ask for a signature (RFC 9987 section 5.6)."""

    key: String
    data: String
    flags: UInt32


@message(SIGN_RESPONSE)
class SignResponse(Message):
    """The signature blob: string algorithm, string signature."""

    signature: String


@message(ADD_IDENTITY)
class AddIdentity(Message):
    """Give the agent a private key; `body` is read by `private_keys`."""

    body: Rest


@message(ADD_IDENTITY_CONSTRAINED)
class AddIdentityConstrained(Message):
    """The same, followed by constraints (RFC 9987 section 5.2)."""

    body: Rest


@message(REMOVE_IDENTITY)
class RemoveIdentity(Message):
    """Forget one key (RFC 9987 section 5.4)."""

    key: String


@message(REMOVE_ALL_IDENTITIES)
class RemoveAllIdentities(Message):
    """Forget every key."""


@message(ADD_SMARTCARD_KEY)
class AddSmartcardKey(Message):
    """Take the keys of a token; `provider` is the library that OpenSSH would load."""

    provider: String
    pin: String


@message(ADD_SMARTCARD_KEY_CONSTRAINED)
class AddSmartcardKeyConstrained(Message):
    """The same, followed by constraints."""

    provider: String
    pin: String
    constraints: Rest


@message(REMOVE_SMARTCARD_KEY)
class RemoveSmartcardKey(Message):
    """Forget the keys of a token."""

    provider: String
    pin: String


@message(LOCK)
class Lock(Message):
    """Do nothing until unlocked with the same passphrase (RFC 9987 section 5.7)."""

    passphrase: String


@message(UNLOCK)
class Unlock(Message):
    """Work again."""

    passphrase: String


@message(EXTENSION)
class Extension(Message):
    """A request of a kind that has a name instead of a number (RFC 9987 section 5.8)."""

    kind: Text
    body: Rest


@message(EXTENSION_FAILURE)
class ExtensionFailure(Message):
    """The extension is known, and this request of it failed."""


@message(EXTENSION_RESPONSE)
class ExtensionResponse(Message):
    """An answer with contents of its own."""

    kind: Text
    body: Rest


@record
class SessionBind(PlainRecord):
    """Tie the connection to an SSH session: the server's signature of the session id proves both."""

    host_key: String
    session_id: String
    signature: String
    forwarding: Boolean


def frame(payload: bytes) -> bytes:
    """Return a message as it travels."""
    return len(payload).to_bytes(4, "big") + payload
