"""Looks after an installation: walks an installer through a door's wiring, and says of a board what is well and what is not.

`wires` names what is wired to a door, `record` remembers what was seen to move, `walk` has each line moved, `checks` looks at the rest.
"""
