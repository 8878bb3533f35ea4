"""Every status is an exception of its own that is the matching OSError too, and back again."""

import errno
import pickle

import pytest
from sshkit_keys.errors import SSHKitError

from sshkit.sftp import errors, status


@pytest.mark.parametrize("code", sorted(errors.CLASSES))
def test_a_status_makes_its_exception(code: int) -> None:
    error = errors.error_for(code, b"words", b"/a/b")
    assert type(error) is errors.CLASSES[code]
    assert isinstance(error, SSHKitError)
    assert (error.status, error.message, error.path) == (code, "words", "/a/b")
    assert str(error) == "words: /a/b"
    if isinstance(error, OSError):
        assert error.errno == type(error).default_errno
        assert error.filename == "/a/b"
        assert error.strerror == "words"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.status, str(again)) == (type(error), code, str(error))


def test_the_builtin_exceptions_catch_them() -> None:
    assert isinstance(errors.error_for(2), FileNotFoundError)
    assert isinstance(errors.error_for(3), PermissionError)
    assert isinstance(errors.error_for(11), FileExistsError)
    assert isinstance(errors.error_for(1), EOFError)
    assert isinstance(errors.error_for(7), ConnectionError)


def test_an_unknown_status_keeps_its_code() -> None:
    error = errors.error_for(99)
    assert isinstance(error, errors.SFTPFailure)
    assert (error.status, error.message) == (99, "status 99")


def test_r36_words_and_paths_of_a_server_are_escaped() -> None:
    error = errors.error_for(4, b"\x1b[31mred\xff\n", b"a\nb")
    assert "\x1b" not in str(error)
    assert "\n" not in str(error)
    assert error.path == "a\nb"


@pytest.mark.parametrize(
    ("number", "three", "six"),
    [
        (errno.ENOENT, status.NO_SUCH_FILE, status.NO_SUCH_FILE),
        (errno.EACCES, status.PERMISSION_DENIED, status.PERMISSION_DENIED),
        (errno.ENOSPC, status.FAILURE, status.NO_SPACE_ON_FILESYSTEM),
        (errno.ENOTEMPTY, status.FAILURE, status.DIR_NOT_EMPTY),
        (errno.EIO, status.FAILURE, status.FAILURE),
    ],
)
def test_an_errno_has_a_status(number: int, three: int, six: int) -> None:
    error = OSError(number, "words")
    assert errors.status_for(error) == (three, "words")
    assert errors.status_for(error, 6) == (six, "words")


def test_what_is_no_oserror_is_told_without_detail() -> None:
    assert errors.status_for(RuntimeError("secret")) == (status.FAILURE, "Failure")
    assert errors.status_for(EOFError()) == (status.EOF, "End of file")
    assert errors.status_for(NotImplementedError("x")) == (status.OP_UNSUPPORTED, "Operation unsupported")
    assert errors.status_for(OSError("no number")) == (status.FAILURE, "Failure")
    assert errors.status_for(OSError(errno.EIO, ""))[1] == "Failure"


def test_codes_of_later_versions_are_not_sent_to_version_3() -> None:
    assert errors.status_for(errors.SFTPNoSpace("full")) == (status.FAILURE, "full")
    assert errors.status_for(errors.SFTPNoSpace("full"), 6) == (status.NO_SPACE_ON_FILESYSTEM, "full")
    assert errors.status_for(errors.SFTPNoSuchFile()) == (status.NO_SUCH_FILE, "No such file")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (b"No space left on device", errors.SFTPNoSpace),
        (b"Disk quota exceeded", errors.SFTPQuotaExceeded),
        (b"File exists", errors.SFTPFileExists),
        (b"Directory not empty", errors.SFTPDirectoryNotEmpty),
        (b"Is a directory", errors.SFTPIsADirectory),
        (b"File exists!", errors.SFTPFailure),
        (b"", errors.SFTPFailure),
    ],
)
def test_a_failure_in_the_systems_own_words_is_that_error(words: bytes, kind: type[errors.SFTPError]) -> None:
    error = errors.error_for(status.FAILURE, words, b"f")
    assert type(error) is kind
    assert error.status == status.FAILURE
    assert type(errors.error_for(status.NO_SUCH_FILE, words)) is errors.SFTPNoSuchFile
    assert errors.status_for(error)[0] == status.FAILURE
