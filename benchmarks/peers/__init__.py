"""The peers: for each a server program and a client program, run as processes of their own."""
