"""The files that AuthorizedKeysFile and AuthorizedPrincipalsFile name by a pattern (sshd_config(5) of 10.0).

Called by `login_rules` with paths whose tokens are replaced, with the user's rights.  A path without a
wildcard is itself; a pattern is looked up at each login, since files come and go.
"""

from collections.abc import Iterable, Iterator

WILDCARDS = frozenset("*?[")
MAX_MATCHES = 256  #: files of one pattern: each is opened for every key that a stranger offers


def login_files(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths; for each pattern the files that match it, by name, or itself if there are none."""
    for path in paths:
        if WILDCARDS.isdisjoint(path):
            yield path
            continue
        from glob import glob

        # What begins with a dot matches no wildcard: editors leave such files behind.
        yield from sorted(glob(path))[:MAX_MATCHES] or (path,)
