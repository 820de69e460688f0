"""The desk: the booking site, the roster that keeps doors informed, and the staff page.

Map, from the bottom up (arrows of import point down only):

- `records`   what the desk knows: bookings, appointments, doors, jobs
- `store`     all of it in one SQLite file that several desk processes may share
- `secrets`   manage links, PINs, tokens
- `office`    booking, moving, cancelling, ingest, settling; the queue
- `api`       the roster feed, doors' reports, ingest, the OpenAPI page
- `pages`     what prospects and staff see
- `build`     everything put together, `run` the program
"""
