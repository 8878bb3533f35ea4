"""hmac-sha1 (RFC 4253 section 6.4) and its -etm form: for old devices, by name only (R16)."""

from sshkit.ssh.macs.hmac_tagger import hmac_line

HMAC_SHA1 = hmac_line("hmac-sha1", "SHA1", 20, etm=False)
HMAC_SHA1_ETM = hmac_line("hmac-sha1-etm@openssh.com", "SHA1", 20, etm=True)
