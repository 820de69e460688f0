"""The only speaker to Knock. What is assumed of Knock stands beside the rule that needs it, in one of these files, with its confidence.

**K** is documented by Knock, **T** is seen in the public code of another vendor, **I** is inferred. Nothing was tried against Knock itself.

Map:

- `bodies`   what Knock is asked
- `reading`  one field of an answer: an id, a status, a list of times
- `answers`  what an answer means, of each of the five requests
- `client`   `Knock`: sends each request once, and never raises for what the net does
"""

from agent.knock.client import Knock

__all__ = ["Knock"]
