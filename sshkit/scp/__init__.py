"""The legacy SCP protocol, as rcp spoke it: one side sends files, the other takes them.

`messages` holds its lines, `source` and `sink` the two sides; they run on any byte stream.
"""
