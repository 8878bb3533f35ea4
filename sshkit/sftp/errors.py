"""What can go wrong with a remote file: an SFTP status and the matching OSError in one exception.

`error_for` makes one from a STATUS answer (clients), `status_for` gives the code for an exception
(servers).  Words of a peer are escaped before they enter a message (R36).
"""

import errno

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.sftp import status as codes

MAX_WORDS = 1024  #: characters of a peer's message that are kept


class SFTPProtocolError(SSHKitError):
    """The peer broke the SFTP protocol; the channel is closed."""


class SFTPError(SSHKitError):
    """A request that failed: `status` is the code, `message` the words, escaped; `path` what it was about."""

    status = codes.FAILURE
    default_errno = errno.EIO

    def __init__(
        self, message: str = "", path: "str | bytes | None" = None, *, code: int | None = None
    ) -> None:
        if code is not None:
            self.status = code
        if isinstance(path, bytes):
            path = path.decode("utf-8", "surrogateescape")
        self.path = path
        self.message = printable(message or codes.WORDS.get(self.status, f"status {self.status}"), MAX_WORDS)
        if isinstance(self, OSError):
            super().__init__(self.default_errno, self.message, path)
        else:
            super().__init__(self.message)

    def __str__(self) -> str:
        return self.message if self.path is None else f"{self.message}: {printable(self.path, 4096)}"

    def __reduce__(self) -> "tuple[object, ...]":
        return _again, (type(self), self.message, self.path, self.status)


def _again(kind: "type[SFTPError]", message: str, path: str | None, code: int) -> "SFTPError":
    return kind(message, path, code=code)


class SFTPFailure(SFTPError, OSError):
    """FAILURE, the code for everything else; also any code that is not known here."""


class SFTPEndOfFile(SFTPError, EOFError):
    """EOF: there is nothing more to read."""

    status = codes.EOF


class SFTPNoSuchFile(SFTPError, FileNotFoundError):
    """NO_SUCH_FILE or NO_SUCH_PATH."""

    status = codes.NO_SUCH_FILE
    default_errno = errno.ENOENT


class SFTPPermissionDenied(SFTPError, PermissionError):
    """PERMISSION_DENIED, and what comes to the same."""

    status = codes.PERMISSION_DENIED
    default_errno = errno.EACCES


class SFTPReadOnly(SFTPPermissionDenied):
    """WRITE_PROTECT: nothing can be written there."""

    status = codes.WRITE_PROTECT
    default_errno = errno.EROFS


class SFTPBadMessage(SFTPError, OSError):
    """BAD_MESSAGE: the server did not understand the request."""

    status = codes.BAD_MESSAGE
    default_errno = errno.EBADMSG


class SFTPNoConnection(SFTPError, ConnectionError):
    """NO_CONNECTION: there is no connection to the server."""

    status = codes.NO_CONNECTION
    default_errno = errno.ENOTCONN


class SFTPConnectionLost(SFTPError, ConnectionError):
    """CONNECTION_LOST: the session ended before the request was answered."""

    status = codes.CONNECTION_LOST
    default_errno = errno.ECONNRESET


class SFTPOpUnsupported(SFTPError, OSError):
    """OP_UNSUPPORTED: the server cannot do that."""

    status = codes.OP_UNSUPPORTED
    default_errno = errno.EOPNOTSUPP


class SFTPInvalidHandle(SFTPError, OSError):
    """INVALID_HANDLE: the file is not open at the server."""

    status = codes.INVALID_HANDLE
    default_errno = errno.EBADF


class SFTPFileExists(SFTPError, FileExistsError):
    """FILE_ALREADY_EXISTS."""

    status = codes.FILE_ALREADY_EXISTS
    default_errno = errno.EEXIST


class SFTPNoSpace(SFTPError, OSError):
    """NO_SPACE_ON_FILESYSTEM: the disk is full."""

    status = codes.NO_SPACE_ON_FILESYSTEM
    default_errno = errno.ENOSPC


class SFTPQuotaExceeded(SFTPError, OSError):
    """QUOTA_EXCEEDED: the user's share of the disk is full."""

    status = codes.QUOTA_EXCEEDED
    default_errno = errno.EDQUOT


class SFTPDirectoryNotEmpty(SFTPError, OSError):
    """DIR_NOT_EMPTY."""

    status = codes.DIR_NOT_EMPTY
    default_errno = errno.ENOTEMPTY


class SFTPNotADirectory(SFTPError, NotADirectoryError):
    """NOT_A_DIRECTORY."""

    status = codes.NOT_A_DIRECTORY
    default_errno = errno.ENOTDIR


class SFTPIsADirectory(SFTPError, IsADirectoryError):
    """FILE_IS_A_DIRECTORY."""

    status = codes.FILE_IS_A_DIRECTORY
    default_errno = errno.EISDIR


class SFTPInvalidName(SFTPError, OSError):
    """INVALID_FILENAME: the name cannot be used."""

    status = codes.INVALID_FILENAME
    default_errno = errno.EINVAL


class SFTPLinkLoop(SFTPError, OSError):
    """LINK_LOOP: too many links on the way."""

    status = codes.LINK_LOOP
    default_errno = errno.ELOOP


class SFTPInvalidParameter(SFTPError, OSError):
    """INVALID_PARAMETER: a value that the server cannot use."""

    status = codes.INVALID_PARAMETER
    default_errno = errno.EINVAL


class SFTPUnknownOwner(SFTPError, OSError):
    """UNKNOWN_PRINCIPAL, OWNER_INVALID or GROUP_INVALID: the server knows no such user or group."""

    status = codes.UNKNOWN_PRINCIPAL
    default_errno = errno.EINVAL


class SFTPLocked(SFTPError, BlockingIOError):
    """LOCK_CONFLICT, or one of the codes for locks of ranges: somebody else holds the file."""

    status = codes.LOCK_CONFLICT
    default_errno = errno.EAGAIN


#: code -> class; a code that is not here is a SFTPFailure that keeps its code.
CLASSES: "dict[int, type[SFTPError]]" = {
    codes.EOF: SFTPEndOfFile,
    codes.NO_SUCH_FILE: SFTPNoSuchFile,
    codes.NO_SUCH_PATH: SFTPNoSuchFile,
    codes.PERMISSION_DENIED: SFTPPermissionDenied,
    codes.CANNOT_DELETE: SFTPPermissionDenied,
    codes.WRITE_PROTECT: SFTPReadOnly,
    codes.FAILURE: SFTPFailure,
    codes.BAD_MESSAGE: SFTPBadMessage,
    codes.NO_CONNECTION: SFTPNoConnection,
    codes.CONNECTION_LOST: SFTPConnectionLost,
    codes.OP_UNSUPPORTED: SFTPOpUnsupported,
    codes.INVALID_HANDLE: SFTPInvalidHandle,
    codes.FILE_ALREADY_EXISTS: SFTPFileExists,
    codes.NO_SPACE_ON_FILESYSTEM: SFTPNoSpace,
    codes.QUOTA_EXCEEDED: SFTPQuotaExceeded,
    codes.DIR_NOT_EMPTY: SFTPDirectoryNotEmpty,
    codes.NOT_A_DIRECTORY: SFTPNotADirectory,
    codes.FILE_IS_A_DIRECTORY: SFTPIsADirectory,
    codes.INVALID_FILENAME: SFTPInvalidName,
    codes.LINK_LOOP: SFTPLinkLoop,
    codes.INVALID_PARAMETER: SFTPInvalidParameter,
    codes.UNKNOWN_PRINCIPAL: SFTPUnknownOwner,
    codes.OWNER_INVALID: SFTPUnknownOwner,
    codes.GROUP_INVALID: SFTPUnknownOwner,
    codes.LOCK_CONFLICT: SFTPLocked,
    codes.BYTE_RANGE_LOCK_CONFLICT: SFTPLocked,
    codes.BYTE_RANGE_LOCK_REFUSED: SFTPLocked,
}

#: What servers of version 3, which has no codes for them, say with FAILURE: the system's own words.
_BY_WORDS: "dict[str, type[SFTPError]]" = {
    "No space left on device": SFTPNoSpace,
    "Disk quota exceeded": SFTPQuotaExceeded,
    "File exists": SFTPFileExists,
    "Directory not empty": SFTPDirectoryNotEmpty,
    "Is a directory": SFTPIsADirectory,
}

#: errno -> (code of version 3, code of version 6).
_CODES = {
    errno.ENOENT: (codes.NO_SUCH_FILE, codes.NO_SUCH_FILE),
    errno.ENOTDIR: (codes.NO_SUCH_FILE, codes.NOT_A_DIRECTORY),
    errno.ELOOP: (codes.NO_SUCH_FILE, codes.LINK_LOOP),
    errno.EBADF: (codes.NO_SUCH_FILE, codes.INVALID_HANDLE),
    errno.EPERM: (codes.PERMISSION_DENIED, codes.PERMISSION_DENIED),
    errno.EACCES: (codes.PERMISSION_DENIED, codes.PERMISSION_DENIED),
    errno.EFAULT: (codes.PERMISSION_DENIED, codes.PERMISSION_DENIED),
    errno.EROFS: (codes.PERMISSION_DENIED, codes.WRITE_PROTECT),
    errno.ENAMETOOLONG: (codes.BAD_MESSAGE, codes.INVALID_FILENAME),
    errno.EINVAL: (codes.BAD_MESSAGE, codes.INVALID_PARAMETER),
    errno.ENOSYS: (codes.OP_UNSUPPORTED, codes.OP_UNSUPPORTED),
    errno.EOPNOTSUPP: (codes.OP_UNSUPPORTED, codes.OP_UNSUPPORTED),
    errno.EEXIST: (codes.FAILURE, codes.FILE_ALREADY_EXISTS),
    errno.ENOSPC: (codes.FAILURE, codes.NO_SPACE_ON_FILESYSTEM),
    errno.EDQUOT: (codes.FAILURE, codes.QUOTA_EXCEEDED),
    errno.ENOTEMPTY: (codes.FAILURE, codes.DIR_NOT_EMPTY),
    errno.EISDIR: (codes.FAILURE, codes.FILE_IS_A_DIRECTORY),
    errno.EXDEV: (codes.FAILURE, codes.FAILURE),
}


#: Version -> its highest code.
_HIGHEST = {
    3: codes.OP_UNSUPPORTED,
    4: codes.NO_MEDIA,
    5: codes.LOCK_CONFLICT,
    6: codes.NO_MATCHING_BYTE_RANGE_LOCK,
}


def error_for(code: int, message: "str | bytes" = "", path: "str | bytes | None" = None) -> SFTPError:
    """Return the exception for a status code and the server's words; `status` is always the code."""
    if isinstance(message, bytes):
        message = message.decode("utf-8", "backslashreplace")
    kind = CLASSES.get(code, SFTPFailure)
    if kind is SFTPFailure:
        kind = _BY_WORDS.get(message, SFTPFailure)
    return kind(message, path, code=code)


def status_for(error: BaseException, version: int = 3) -> tuple[int, str]:
    """Return the status code for an exception, and words without paths; only OSErrors are told in detail."""
    highest = _HIGHEST[version]
    if isinstance(error, SFTPError):
        code = error.status
        if code > highest:
            if type(error).status <= highest:
                code = type(error).status  # a class of several codes: the oldest of them
            elif isinstance(error, SFTPUnknownOwner):
                code = codes.FAILURE  # nothing is wrong with the message
            else:
                code = _CODES.get(error.default_errno, (codes.FAILURE, 0))[0]
        return code, error.message
    if isinstance(error, EOFError):
        return codes.EOF, codes.WORDS[codes.EOF]
    if isinstance(error, OSError) and error.errno is not None:
        pair = _CODES.get(error.errno, (codes.FAILURE, codes.FAILURE))
        return pair[1] if pair[1] <= highest else pair[0], error.strerror or codes.WORDS[codes.FAILURE]
    if isinstance(error, NotImplementedError):
        return codes.OP_UNSUPPORTED, codes.WORDS[codes.OP_UNSUPPORTED]
    return codes.FAILURE, codes.WORDS[codes.FAILURE]
