"""TLS over any transport: the layer between a stream and a protocol.  `sshkit.reactor.tls` is the door."""
