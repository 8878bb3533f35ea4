"""The connection protocol: channels and global requests (RFC 4254)."""
