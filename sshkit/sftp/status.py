"""The status codes of SFTP (draft-ietf-secsh-filexfer-02 section 7, -13 section 9.1).

0 to 8 are version 3's; the others came with versions 4 to 6, and some servers of version 3 send them
as well.  Read by both sides; `sshkit.sftp.errors` turns them into exceptions and back.
"""

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE = 0, 1, 2, 3, 4
BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST, OP_UNSUPPORTED = 5, 6, 7, 8
INVALID_HANDLE, NO_SUCH_PATH, FILE_ALREADY_EXISTS, WRITE_PROTECT = 9, 10, 11, 12
NO_MEDIA, NO_SPACE_ON_FILESYSTEM, QUOTA_EXCEEDED, UNKNOWN_PRINCIPAL = 13, 14, 15, 16
LOCK_CONFLICT, DIR_NOT_EMPTY, NOT_A_DIRECTORY, INVALID_FILENAME = 17, 18, 19, 20
LINK_LOOP, CANNOT_DELETE, INVALID_PARAMETER, FILE_IS_A_DIRECTORY = 21, 22, 23, 24
BYTE_RANGE_LOCK_CONFLICT, BYTE_RANGE_LOCK_REFUSED, DELETE_PENDING, FILE_CORRUPT = 25, 26, 27, 28
OWNER_INVALID, GROUP_INVALID, NO_MATCHING_BYTE_RANGE_LOCK = 29, 30, 31

#: What is said to a person, where the peer sent no words of its own.
WORDS = {
    OK: "Success",
    EOF: "End of file",
    NO_SUCH_FILE: "No such file",
    PERMISSION_DENIED: "Permission denied",
    FAILURE: "Failure",
    BAD_MESSAGE: "Bad message",
    NO_CONNECTION: "No connection",
    CONNECTION_LOST: "Connection lost",
    OP_UNSUPPORTED: "Operation unsupported",
    INVALID_HANDLE: "Invalid handle",
    NO_SUCH_PATH: "No such path",
    FILE_ALREADY_EXISTS: "File exists",
    WRITE_PROTECT: "Read-only file system",
    NO_MEDIA: "No medium",
    NO_SPACE_ON_FILESYSTEM: "No space left on device",
    QUOTA_EXCEEDED: "Quota exceeded",
    UNKNOWN_PRINCIPAL: "Unknown user or group",
    LOCK_CONFLICT: "Locked by another",
    DIR_NOT_EMPTY: "Directory not empty",
    NOT_A_DIRECTORY: "Not a directory",
    INVALID_FILENAME: "Invalid file name",
    LINK_LOOP: "Too many links",
    CANNOT_DELETE: "Cannot be deleted",
    INVALID_PARAMETER: "Invalid parameter",
    FILE_IS_A_DIRECTORY: "Is a directory",
    BYTE_RANGE_LOCK_CONFLICT: "A part is locked by another",
    BYTE_RANGE_LOCK_REFUSED: "Parts cannot be locked",
    DELETE_PENDING: "Being deleted",
    FILE_CORRUPT: "The file is damaged",
    OWNER_INVALID: "Unknown user",
    GROUP_INVALID: "Unknown group",
    NO_MATCHING_BYTE_RANGE_LOCK: "No such lock",
}
