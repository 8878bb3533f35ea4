"""Public keys in the format of RFC 4716, which ssh-keygen -e writes and ssh.com's programs use.

Called by `key_files` to read, and by PublicKey.to_rfc4716.  Markers of four dashes, headers whose values
may go on in the next line after a backslash, base64.
"""

import binascii

from .errors import KeyFormatError
from .key import PublicKey
from .key_types import parse_public_key
from .text import printable

BEGIN = b"---- BEGIN SSH2 PUBLIC KEY ----"
END = b"---- END SSH2 PUBLIC KEY ----"

#: RFC 4716 section 3.3: at most 64 bytes of a header's name, 1024 of its value.
MAX_TAG_BYTES = 64
MAX_VALUE_BYTES = 1024
#: A line has at most 72 bytes, without its end; ssh-keygen cuts the base64 at 70.
_LINE_BYTES = 72
_BASE64_BYTES = 70
#: Base64 of the largest blob that is read.
_MAX_BODY_BYTES = 65536


def parse_rfc4716(data: bytes, place: str = "") -> PublicKey:
    """Read the first key; text before it is skipped, its Comment header becomes the comment."""
    start = data.find(BEGIN)
    end = data.find(END, start)
    first = data.count(b"\n", 0, max(start, 0)) + 1
    if start < 0 or end < 0:
        raise KeyFormatError("the public key has no END line", f"{place}:{first}" if place else "")
    if end - start > _MAX_BODY_BYTES:
        raise KeyFormatError(f"the public key has more than {_MAX_BODY_BYTES} bytes", place)
    lines = data[start:end].splitlines()[1:]
    comment = ""
    body = 0
    while body < len(lines) and b":" in lines[body]:
        here = f"{place}:{first + body + 1}" if place else ""
        tag, _, value = lines[body].partition(b":")
        while value.endswith(b"\\"):
            body += 1
            if body == len(lines):
                raise KeyFormatError("the header goes on in no line", here)
            value = value[:-1] + lines[body]
        value = value.strip()
        if len(tag) > MAX_TAG_BYTES or len(value) > MAX_VALUE_BYTES:
            raise KeyFormatError("the header is too long", here)
        if tag.strip().lower() == b"comment":
            if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
                value = value[1:-1]
            comment = value.decode("utf-8", "replace")
        body += 1
    here = f"{place}:{first + body + 1}" if place else ""
    try:
        blob = binascii.a2b_base64(b"".join(line.strip() for line in lines[body:]), strict_mode=True)
    except binascii.Error:
        raise KeyFormatError("the public key is not base64", here) from None
    return parse_public_key(blob, comment, here)


def format_rfc4716(key: PublicKey, comment: str | None = None) -> bytes:
    """Return the whole file; see PublicKey.to_rfc4716."""
    text = printable(key.comment if comment is None else comment, MAX_VALUE_BYTES // 4)
    lines = [BEGIN]
    if text:
        lines += _fold(f'Comment: "{text}"'.encode())
    body = binascii.b2a_base64(key.blob, newline=False)
    lines += [body[i : i + _BASE64_BYTES] for i in range(0, len(body), _BASE64_BYTES)]
    return b"\n".join([*lines, END, b""])


def _fold(header: bytes) -> list[bytes]:
    """Cut a header into lines; all but the last end with a backslash."""
    lines: list[bytes] = []
    while len(header) > _LINE_BYTES:
        lines.append(header[: _LINE_BYTES - 1] + b"\\")
        header = header[_LINE_BYTES - 1 :]
    return [*lines, header]
