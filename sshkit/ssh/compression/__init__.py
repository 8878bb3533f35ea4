"""The tables of compressions: what is offered, what is offered where one wants compression, and the rest.

Off by default (R21): it costs processor time, and its success tells about what is inside.
"""

from sshkit.ssh.compression.method import Compression

NONE = Compression("none", "never")
ZLIB_OPENSSH = Compression("zlib@openssh.com", "login")
ZLIB = Compression("zlib", "keys")

COMPRESSIONS: tuple[Compression, ...] = (NONE,)
#: For who wants compression: nobody who is not logged in gets at the decompressor.
DELAYED: tuple[Compression, ...] = (ZLIB_OPENSSH, NONE)
#: Known as well: one that begins before the login.
BY_NAME: tuple[Compression, ...] = (ZLIB,)
