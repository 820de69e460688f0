"""The wiring: builds everything from the settings and runs it.

- `doorman`    what happens to a scan: the one thread between reader and relay
- `door`       one door: its state, its relay
- `sender`     the outbox on its way to Knock
- `feed`       a door's ear at the desk: news of appointments
- `report`     a door's voice there: how it is, who came
- `events`     what happens, told to logs and listeners
- `control`    the unix socket
- `lines`      the relays' lines, locked without an agent
- `build`      makes all of it, `run` starts and stops it
"""
