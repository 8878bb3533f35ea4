"""The table of MACs, best first."""

from sshkit.ssh.macs.hmac_sha2 import HMAC_SHA2_256, HMAC_SHA2_256_ETM, HMAC_SHA2_512, HMAC_SHA2_512_ETM, MAC

MACS: tuple[MAC, ...] = (HMAC_SHA2_256_ETM, HMAC_SHA2_512_ETM, HMAC_SHA2_256, HMAC_SHA2_512)
