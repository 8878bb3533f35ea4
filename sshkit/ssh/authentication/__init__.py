"""User authentication (RFC 4252), both sides."""
