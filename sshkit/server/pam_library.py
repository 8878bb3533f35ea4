"""The system's own PAM library, by ctypes: one transaction as an object (pam(3), X/Open RFC 86.0).

Called by `pam` and `pam_session`, always in a process that was forked for it: modules may block, change the
process' rights and limits, and crash.  No extra package is needed; without the library PamUnavailable.
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p, cast
from typing import Any, Final

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

LIBRARY = {"linux": "libpam.so.0", "darwin": "libpam.dylib"}.get(sys.platform, "libpam.so")

#: Styles of messages.
ECHO_OFF, ECHO_ON, ERROR_TEXT, INFO_TEXT = 1, 2, 3, 4
#: Items.
SERVICE, USER, TTY, RHOST, CONV, RUSER = 1, 2, 3, 4, 5, 8

SUCCESS: Final = 0
_LINUX = sys.platform.startswith("linux")
#: Return values that are treated apart: Linux-PAM and OpenPAM number them otherwise.
MAXTRIES: Final = 11 if _LINUX else 8
NEW_AUTHTOK_REQUIRED: Final = 12 if _LINUX else 10
CONVERSATION_ERROR: Final = 19 if _LINUX else 6
AUTHTOK_ERROR: Final = 20 if _LINUX else 17
TRY_AGAIN: Final = 24 if _LINUX else 18

#: Flags.
SILENT: Final = 0x8000 if _LINUX else -0x80000000
NO_EMPTY_PASSWORD: Final = 0x1
CHANGE_EXPIRED: Final = 0x20 if _LINUX else 0x4
ESTABLISH: Final = 0x2 if _LINUX else 0x1
DELETE: Final = 0x4 if _LINUX else 0x2
_DATA_SILENT: Final = 0x40000000

MAX_MESSAGES = 32  #: PAM_MAX_NUM_MSG
MAX_TEXT = 512  #: PAM_MAX_MSG_SIZE and PAM_MAX_RESP_SIZE
MAX_VARIABLES = 256

Message = tuple[int, str]  #: style and text
#: Returns one answer for each message; those to mere texts are not looked at.
Converse = Callable[[Sequence[Message]], Sequence[str]]


class PamError(SSHKitError):
    """PAM says no, or something went wrong in it; `code` is its return value."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class PamUnavailable(SSHKitError):
    """UsePAM is yes, but this system has no PAM library."""


class _Message(ctypes.Structure):
    _fields_ = (("style", c_int), ("text", c_char_p))


class _Response(ctypes.Structure):
    _fields_ = (("text", c_void_p), ("code", c_int))


_Callback = ctypes.CFUNCTYPE(c_int, c_int, POINTER(POINTER(_Message)), POINTER(POINTER(_Response)), c_void_p)


class _Conversation(ctypes.Structure):
    _fields_ = (("callback", _Callback), ("data", c_void_p))


class _Library:
    """The functions, with their types."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        try:
            pam = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise PamUnavailable(f"UsePAM: there is no PAM library: {printable(str(error))}") from None
        self.calloc, self.free, self.strdup = libc.calloc, libc.free, libc.strdup
        self.calloc.argtypes, self.calloc.restype = (c_size_t, c_size_t), c_void_p
        self.free.argtypes, self.free.restype = (c_void_p,), None
        self.strdup.argtypes, self.strdup.restype = (c_char_p,), c_void_p
        self.start = pam.pam_start
        self.start.argtypes = (c_char_p, c_char_p, POINTER(_Conversation), POINTER(c_void_p))
        self.end = pam.pam_end
        self.end.argtypes = (c_void_p, c_int)
        self.set_item = pam.pam_set_item
        self.set_item.argtypes = (c_void_p, c_int, c_char_p)
        self.get_item = pam.pam_get_item
        self.get_item.argtypes = (c_void_p, c_int, POINTER(c_void_p))
        self.strerror = pam.pam_strerror
        self.strerror.argtypes, self.strerror.restype = (c_void_p, c_int), c_char_p
        self.putenv = pam.pam_putenv
        self.putenv.argtypes = (c_void_p, c_char_p)
        self.getenvlist = pam.pam_getenvlist
        self.getenvlist.argtypes, self.getenvlist.restype = (c_void_p,), POINTER(c_void_p)
        self.calls: dict[str, Any] = {}
        for name in ("authenticate", "acct_mgmt", "setcred", "open_session", "close_session", "chauthtok"):
            function = getattr(pam, f"pam_{name}")
            function.argtypes = (c_void_p, c_int)
            self.calls[name] = function


class Pam:
    """One transaction; `close` it."""

    __slots__ = ("_callback", "_converse", "_handle", "_library", "_status")

    def __init__(self, service: str, user: str, converse: Converse) -> None:
        """Start it; raises PamUnavailable or PamError.

        `converse` may raise an SSHKitError, which ends the call that is under way.
        """
        self._library = library = _Library()
        self._converse = converse
        self._status = SUCCESS
        self._callback = _Callback(self._called)  # kept: the library has its address
        handle = c_void_p()
        conversation = _Conversation(self._callback, None)
        code = library.start(service.encode(), _bytes(user), byref(conversation), byref(handle))
        self._handle = handle
        self._check("start", code)

    def set_item(self, item: int, text: str) -> None:
        """Set one of USER, TTY, RHOST and RUSER."""
        self._check("set_item", self._library.set_item(self._handle, item, _bytes(text)))

    def user(self) -> str:
        """Return the user's name, which modules may have changed."""
        found = c_void_p()
        self._check("get_item", self._library.get_item(self._handle, USER, byref(found)))
        return (cast(found, c_char_p).value or b"").decode("utf-8", "surrogateescape")

    def call(self, name: str, flags: int = 0) -> None:
        """Call one of the functions: authenticate, acct_mgmt, ...; raises PamError unless it succeeds."""
        self._check(name, self._library.calls[name](self._handle, flags))

    def putenv(self, name: str, value: str) -> None:
        """Set a variable of the transaction's environment."""
        self._check("putenv", self._library.putenv(self._handle, _bytes(f"{name}={value}")))

    def environment(self) -> dict[str, str]:
        """Return the variables that the modules want for the session."""
        library = self._library
        variables: dict[str, str] = {}
        entries = library.getenvlist(self._handle)
        if not entries:
            return variables
        index = 0
        while pointer := entries[index]:
            text = cast(pointer, c_char_p).value or b""
            library.free(pointer)
            name, equals, value = text.decode("utf-8", "surrogateescape").partition("=")
            if equals and name and index < MAX_VARIABLES:
                variables[name] = value
            index += 1
        library.free(entries)
        return variables

    def close(self, silent: bool = False) -> None:
        """End it; `silent` in a process that only inherited it."""
        handle, self._handle = self._handle, c_void_p()
        if handle:
            self._library.end(handle, self._status | (_DATA_SILENT if silent and _LINUX else 0))

    def _check(self, name: str, code: int) -> None:
        self._status = code
        if code != SUCCESS:
            text = self._library.strerror(self._handle, code) or b"unknown"
            raise PamError(code, f"pam_{name}: {printable(text)}")

    def _called(self, count: int, messages: Any, responses: Any, _: Any) -> int:
        """Be the conversation: no exception leaves it, and answers are the library's to free."""
        library = self._library
        if not 0 < count <= MAX_MESSAGES:
            return CONVERSATION_ERROR
        try:
            asked = [_read(messages, index) for index in range(count)]
            answers = self._converse(asked)
            if len(answers) != count:
                return CONVERSATION_ERROR
            texts = [_bytes(answer) for answer in answers]
        except Exception:
            return CONVERSATION_ERROR
        if any(len(text) >= MAX_TEXT or b"\0" in text for text in texts):
            return CONVERSATION_ERROR
        array = library.calloc(count, ctypes.sizeof(_Response))
        if not array:
            return CONVERSATION_ERROR
        filled = cast(array, POINTER(_Response))
        for index, ((style, _text), text) in enumerate(zip(asked, texts, strict=True)):
            if style in (ECHO_OFF, ECHO_ON):
                filled[index].text = library.strdup(text)
        responses[0] = filled
        return SUCCESS


def _read(messages: Any, index: int) -> Message:
    message = messages[index].contents  # Linux-PAM's reading of the array; of one message all agree
    return message.style, (message.text or b"")[: 2 * MAX_TEXT].decode("utf-8", "replace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
