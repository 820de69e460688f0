"""The wiring: builds everything from the settings and runs it.

- `doorman`    what happens to a scan: the one thread between reader and relay
- `door`       one door: its state, its relay
- `sender`     the outbox on its way to Knock
- `supervise`  restarts a component that died
- `events`     what happens, told to logs and listeners
- `control`    the unix socket
- `lines`      the relays' lines, locked without an agent
- `build`      makes all of it, `run` starts and stops it
"""
