"""hmac-sha2-256 and hmac-sha2-512 (RFC 6668), and their -etm forms (OpenSSH's PROTOCOL section 1.5)."""

from sshkit.ssh.macs.hmac_tagger import hmac_line

HMAC_SHA2_256 = hmac_line("hmac-sha2-256", "SHA256", 32, etm=False)
HMAC_SHA2_512 = hmac_line("hmac-sha2-512", "SHA512", 64, etm=False)
HMAC_SHA2_256_ETM = hmac_line("hmac-sha2-256-etm@openssh.com", "SHA256", 32, etm=True)
HMAC_SHA2_512_ETM = hmac_line("hmac-sha2-512-etm@openssh.com", "SHA512", 64, etm=True)
