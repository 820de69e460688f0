"""The door's durable record: one SQLite file, written by one process.

- `files`    the schema and its migrations, the lock on the file, reading for reports (the only importer of sqlite-utils)
- `journal`  what a scan waits for: facts, admission, visit and outbox row in one fsynced transaction
- `upkeep`   everything that a scan must not wait for: refusals, marks, the roster; its own connection and thread
- `outbox`   the queries of the queue, run by `upkeep`
"""
