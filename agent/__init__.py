"""Tourlatch: opens a door for a booked self-guided tour and reports the visit to Knock.

Map, from the bottom up (arrows of import point down only):

- `agent.core`      pure rules: codes, tour, decide, hours, reasons, clock, door, lockout, replay
- `agent.store`     the journal and outbox: one SQLite file
- `agent.http`      requests to one peer
- `agent.knock`     the only speaker to Knock
- `agent.config`    settings, read once and closed
- `agent.daemon`    builds everything and runs it
- `agent.cli`       one thin file per command
- `agent.sandbox`   a stand-in for Knock
- `agent.demo`      the whole story in one command
"""
