"""The camera's process: it takes pictures, reads the codes in them, and hands these to the agent at the door."""
