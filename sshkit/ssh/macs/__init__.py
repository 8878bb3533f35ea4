"""The tables of MACs, best first: what is offered, and what is there for who asks by name."""

from sshkit.ssh.macs.hmac_sha1 import HMAC_SHA1, HMAC_SHA1_ETM
from sshkit.ssh.macs.hmac_sha2 import HMAC_SHA2_256, HMAC_SHA2_256_ETM, HMAC_SHA2_512, HMAC_SHA2_512_ETM
from sshkit.ssh.macs.mac import MAC
from sshkit.ssh.macs.umac import UMAC_64, UMAC_64_ETM, UMAC_128, UMAC_128_ETM

MACS: tuple[MAC, ...] = (HMAC_SHA2_256_ETM, HMAC_SHA2_512_ETM, HMAC_SHA2_256, HMAC_SHA2_512)

#: Known as well: slow ones, then weak ones.
BY_NAME: tuple[MAC, ...] = (
    UMAC_128_ETM,
    UMAC_64_ETM,
    UMAC_128,
    UMAC_64,
    HMAC_SHA1_ETM,
    HMAC_SHA1,
)
