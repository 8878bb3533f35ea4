"""The SSH protocol without I/O: transport layer, authentication, connections and channels."""
