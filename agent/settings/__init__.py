"""The settings of each program: `agent` for the door, `desk` for the booking site; `parts` is what they are made of."""
