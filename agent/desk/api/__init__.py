"""What programs ask of the desk, over HTTP: doors their roster, a vendor's website the codes of what it booked.

Map:

- `answers`   refusals with every mistake in them
- `auth`      bearer tokens
- `bodies`    JSON in, a checked object out
- `messages`  what the bodies may hold
- `roster`    the feed that a door follows, `watch` the one task that wakes held requests, `sightings` who was seen when
- `report`    what a door tells of itself
- `ingest`    appointments that a vendor booked
- `openapi`   all of it described, `page` the same for people
"""

from agent.desk.api.routes import Api

__all__ = ["Api"]
