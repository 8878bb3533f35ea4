"""The client: connect, run commands, talk to them."""
