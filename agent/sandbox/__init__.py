"""A stand-in for Knock over real HTTP, for demos, tests and integrators: what Knock's public record says, and marked assumptions.

Map, from the bottom up (arrows of import point down only):

- `errors`    what is told to a person, and what a request is refused with
- `settings`  communities, keys and addresses
- `fields`    one JSON object, read field by field
- `records`   prospects, appointments and visits, and the whole state as one value
- `slots`     opening hours to instants, daylight saving included
- `state`     Knock's rules: a state and a request give a new state and an answer (no I/O, no clock)
- `storage`   the state in a JSON file
- `ledger`    the one current state: saved first, answered then
- `faults`    what may go wrong on purpose
- `public`    Knock's routes
- `admin`     the routes for whoever runs a test
- `server`    builds everything and runs it
- `threaded`  the same in a thread, for callers without an event loop
- `command`   the command line
"""
