"""The names of SftpPath: POSIX paths without a server, as pathlib's PurePosixPath has them.

The base of `SftpPath` and of its blocking twin.  Text is what the client uses: bytes that are not UTF-8 are
lone surrogates and survive.  It is no os.PathLike on purpose: a remote name that `open` took for a local
one would open the wrong file.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, TypeVar

from sshkit.sftp.messages import from_wire

Self = TypeVar("Self", bound="PureRemotePath")
Part = "str | bytes | PurePosixPath | PureRemotePath"


class PureRemotePath:
    """A name at a server.  Two are equal where the names and the sessions are."""

    __slots__ = ("_pure",)

    def __init__(self, *parts: "str | bytes | PurePosixPath | PureRemotePath") -> None:
        self._pure = PurePosixPath(*map(_text, parts))

    # What subclasses say.

    def _owner(self) -> object:
        """Return what the name belongs to."""
        return None

    def _with(self: Self, pure: PurePosixPath) -> Self:
        """Return another path of the same owner."""
        other = object.__new__(type(self))
        other._pure = pure
        return other

    # As an object.

    def __str__(self) -> str:
        return str(self._pure)

    def __bytes__(self) -> bytes:
        return str(self._pure).encode("utf-8", "surrogateescape")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._pure)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PureRemotePath):
            return NotImplemented
        return self._pure == other._pure and self._owner() is other._owner()

    def __hash__(self) -> int:
        return hash(self._pure)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, PureRemotePath):
            return NotImplemented
        return self._pure < other._pure

    def __truediv__(self: Self, part: "str | bytes | PurePosixPath | PureRemotePath") -> Self:
        return self._with(self._pure / _text(part))

    # Parts.

    @property
    def parts(self) -> tuple[str, ...]:
        """The components; of an absolute path the first is "/"."""
        return self._pure.parts

    @property
    def name(self) -> str:
        """The last component."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The last component without its suffix."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The last suffix, with its dot."""
        return self._pure.suffix

    @property
    def suffixes(self) -> list[str]:
        """All suffixes."""
        return self._pure.suffixes

    @property
    def parent(self: Self) -> Self:
        """The directory that it lies in, by its name."""
        return self._with(self._pure.parent)

    @property
    def parents(self: Self) -> Sequence[Self]:
        """The directories above, the nearest first."""
        return tuple(map(self._with, self._pure.parents))

    def is_absolute(self) -> bool:
        """Tell whether it begins at the root."""
        return self._pure.is_absolute()

    # Other paths.

    def joinpath(self: Self, *parts: "str | bytes | PurePosixPath | PureRemotePath") -> Self:
        """Return the path with more components behind it; an absolute one takes its place."""
        return self._with(self._pure.joinpath(*map(_text, parts)))

    def with_name(self: Self, name: str) -> Self:
        """Return the path with another last component."""
        return self._with(self._pure.with_name(name))

    def with_stem(self: Self, stem: str) -> Self:
        """Return the path with another last component, but for its suffix."""
        return self._with(self._pure.with_stem(stem))

    def with_suffix(self: Self, suffix: str) -> Self:
        """Return the path with another suffix."""
        return self._with(self._pure.with_suffix(suffix))

    def relative_to(self, other: "str | bytes | PurePosixPath | PureRemotePath") -> PurePosixPath:
        """Return the way from `other`; ValueError where it does not lie below."""
        return self._pure.relative_to(_text(other))

    def is_relative_to(self, other: "str | bytes | PurePosixPath | PureRemotePath") -> bool:
        """Tell whether it lies below `other`, by their names."""
        return self._pure.is_relative_to(_text(other))

    def match(self, pattern: str) -> bool:
        """Tell whether the end of the path fits a pattern."""
        return self._pure.match(pattern)

    def as_posix(self) -> str:
        """Return the text."""
        return str(self._pure)


def _text(part: Any) -> str:
    """Return the text of one part."""
    if isinstance(part, str):
        return part
    if isinstance(part, bytes):
        return from_wire(part)
    if isinstance(part, (PurePosixPath, PureRemotePath)):
        return str(part)
    raise TypeError(f"a part of a remote path is text or bytes, not {type(part).__name__}")
