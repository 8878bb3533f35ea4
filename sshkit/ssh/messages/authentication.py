"""Messages of user authentication: RFC 4252, keyboard-interactive (RFC 4256), gssapi-with-mic (RFC 4462)."""

from sshkit.ssh.messages.record import Boolean, Message, NameList, Rest, String, Text, UInt32, message

USERAUTH_REQUEST, USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER = 50, 51, 52, 53
USERAUTH_PK_OK = USERAUTH_PASSWD_CHANGEREQ = USERAUTH_INFO_REQUEST = 60  #: meaning depends on the method
USERAUTH_INFO_RESPONSE = 61
GSSAPI_RESPONSE = 60
GSSAPI_TOKEN = 61
GSSAPI_EXCHANGE_COMPLETE, GSSAPI_ERROR, GSSAPI_ERRTOK, GSSAPI_MIC = 63, 64, 65, 66


@message(USERAUTH_REQUEST)
class UserauthRequest(Message):
    """Ask to be let in (RFC 4252 section 5); `body` is read by the method."""

    user: Text
    service: Text
    method: Text
    body: Rest


@message(USERAUTH_FAILURE)
class UserauthFailure(Message):
    """Not let in, or not yet (RFC 4252 section 5.1)."""

    methods: NameList
    partial_success: Boolean


@message(USERAUTH_SUCCESS)
class UserauthSuccess(Message):
    """Let in (RFC 4252 section 5.1)."""


@message(USERAUTH_BANNER)
class UserauthBanner(Message):
    """A text to show before the login (RFC 4252 section 5.4)."""

    text: String
    language: String


@message(USERAUTH_PK_OK)
class UserauthPublicKeyOk(Message):
    """This key would be accepted, if signed with (RFC 4252 section 7)."""

    algorithm: Text
    key: String


@message(USERAUTH_PASSWD_CHANGEREQ)
class UserauthPasswordChangeRequest(Message):
    """The password has run out (RFC 4252 section 8)."""

    prompt: String
    language: String


@message(USERAUTH_INFO_REQUEST)
class UserauthInfoRequest(Message):
    """Questions for the user (RFC 4256 section 3.2); `body` is prompt and echo, `count` times."""

    title: String
    instruction: String
    language: String
    count: UInt32
    body: Rest


@message(USERAUTH_INFO_RESPONSE)
class UserauthInfoResponse(Message):
    """The answers (RFC 4256 section 3.4); `body` is a string each."""

    count: UInt32
    body: Rest


@message(GSSAPI_RESPONSE)
class GSSAPIResponse(Message):
    """The mechanism that the server chose, as DER (RFC 4462 section 3.3)."""

    mechanism: String


@message(GSSAPI_TOKEN)
class GSSAPIToken(Message):
    """One token of the dialogue, in either direction (RFC 4462 section 3.4)."""

    token: String


@message(GSSAPI_EXCHANGE_COMPLETE)
class GSSAPIExchangeComplete(Message):
    """The client is through, and has no integrity to prove the rest with (RFC 4462 section 3.5)."""


@message(GSSAPI_ERROR)
class GSSAPIError(Message):
    """Why the server gave the dialogue up (RFC 4462 section 3.8); USERAUTH_FAILURE follows."""

    major: UInt32
    minor: UInt32
    text: String
    language: String


@message(GSSAPI_ERRTOK)
class GSSAPIErrorToken(Message):
    """A token about a dialogue that failed, in either direction (RFC 4462 section 3.9)."""

    token: String


@message(GSSAPI_MIC)
class GSSAPIMIC(Message):
    """The client's proof that the dialogue belongs to this login (RFC 4462 section 3.5)."""

    mic: String
