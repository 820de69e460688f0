"""The rules, and nothing but the rules.

Nothing here reads a clock, a file, a socket or chance: time, randomness and facts come in as arguments and a value goes out.
"""
