"""Messages of the transport layer (RFC 4253) and of EXT_INFO (RFC 8308)."""

from sshkit.ssh.messages.record import Boolean, Message, MPInt, NameList, Rest, String, Text, UInt32, message

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG = 1, 2, 3, 4
SERVICE_REQUEST, SERVICE_ACCEPT, EXT_INFO = 5, 6, 7
KEXINIT, NEWKEYS = 20, 21
KEX_INIT, KEX_REPLY = 30, 31  #: the numbers 30 to 49 belong to the key exchange method in force
KEX_GROUP, KEX_GROUP_INIT, KEX_GROUP_REPLY, KEX_GROUP_REQUEST = 31, 32, 33, 34
PING, PONG = 192, 193


@message(DISCONNECT)
class Disconnect(Message):
    """End the connection at once (RFC 4253 section 11.1)."""

    code: UInt32
    description: String
    language: String


@message(IGNORE)
class Ignore(Message):
    """Data without meaning (RFC 4253 section 11.2)."""

    data: Rest


@message(UNIMPLEMENTED)
class Unimplemented(Message):
    """The packet with this sequence number was not understood (RFC 4253 section 11.4)."""

    sequence: UInt32


@message(DEBUG)
class Debug(Message):
    """A remark for whoever debugs the peer (RFC 4253 section 11.3)."""

    always_display: Boolean
    text: String
    language: String


@message(SERVICE_REQUEST)
class ServiceRequest(Message):
    """Ask for `ssh-userauth` or `ssh-connection` (RFC 4253 section 10)."""

    name: Text


@message(SERVICE_ACCEPT)
class ServiceAccept(Message):
    """The service may be used (RFC 4253 section 10)."""

    name: Text


@message(EXT_INFO)
class ExtInfo(Message):
    """Extensions of the sender (RFC 8308 section 2.3); `body` is name and value, `count` times."""

    count: UInt32
    body: Rest


@message(KEXINIT)
class KexInit(Message):
    """The algorithms of one side, best first (RFC 4253 section 7.1)."""

    key_exchanges: NameList
    host_keys: NameList
    ciphers_to_server: NameList
    ciphers_to_client: NameList
    macs_to_server: NameList
    macs_to_client: NameList
    compressions_to_server: NameList
    compressions_to_client: NameList
    languages_to_server: NameList
    languages_to_client: NameList
    first_packet_follows: Boolean
    reserved: UInt32


@message(KEX_INIT)
class KexEcdhInit(Message):
    """The client's public value as a string (RFC 5656 section 4, RFC 8731)."""

    public: String


@message(KEX_INIT)
class KexDHInit(Message):
    """The client's public value as a number (RFC 4253 section 8)."""

    public: MPInt


@message(KEX_REPLY)
class KexEcdhReply(Message):
    """The server's host key, public value and signature (RFC 5656 section 4)."""

    host_key: String
    public: String
    signature: String


@message(KEX_REPLY)
class KexDHReply(Message):
    """The server's host key, public value and signature (RFC 4253 section 8)."""

    host_key: String
    public: MPInt
    signature: String


@message(KEX_GROUP_REQUEST)
class KexGroupRequest(Message):
    """The sizes in bits that the client takes for a group (RFC 4419 section 3)."""

    minimum: UInt32
    preferred: UInt32
    maximum: UInt32


@message(KEX_GROUP)
class KexGroup(Message):
    """The group that the server chose (RFC 4419 section 3)."""

    prime: MPInt
    generator: MPInt


@message(KEX_GROUP_INIT)
class KexGroupInit(Message):
    """The client's public value in that group (RFC 4419 section 3)."""

    public: MPInt


@message(KEX_GROUP_REPLY)
class KexGroupReply(Message):
    """The server's host key, public value and signature (RFC 4419 section 3)."""

    host_key: String
    public: MPInt
    signature: String


@message(PING)
class Ping(Message):
    """Ask for the same data back (ping@openssh.com, OpenSSH's PROTOCOL)."""

    data: String


@message(PONG)
class Pong(Message):
    """The data of a PING."""

    data: String
