"""In which order SYMLINK of version 3 has its two paths.

The draft says: where the link is, then what it says (draft-ietf-secsh-filexfer-02 section 6.10).  OpenSSH
has always had them the other way round, and nearly everybody does as OpenSSH does.  AsyncSSH keeps to the
draft, but for peers whose identification names one of those it knows; so it can be told by both
identifications.  `sshkit.client.sftp` and `sshkit.server.sftp` ask.
"""

KEEPS_TO_THE_DRAFT = b"AsyncSSH"
UNLESS = (b"OpenSSH", b"paramiko")  #: names in our identification that make it do as they do


def as_drafted(ours: bytes, theirs: bytes) -> bool:
    """Tell whether the peer reads and writes SYMLINK in the draft's order, by both identifications."""
    return KEEPS_TO_THE_DRAFT in theirs and not any(name in ours for name in UNLESS)
