"""Forwards: between our own ends in memory, over real sockets, against hostile and real peers."""
