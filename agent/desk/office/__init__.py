"""The desk's office: every decision about a booking, between the pages and the store.

Map:

- `values`    what goes in and comes out: forms, passes, problems
- `office`    `Office`, the one door to all of it
- `passes`    codes and PINs of confirmed tours
- `asking`    what is asked of Knock, and what its answers do
- `times`     free times for pages that show them
- `ingest`    appointments that a vendor booked
- `queue`     what is done later, again and again: emails, cancels, ids
- `letters`, `calendar`  what is mailed
"""

from agent.desk.office.office import Office
from agent.desk.office.values import BookingForm, Ingested, NotDoneError, Pass, Problem, Trouble

__all__ = ["BookingForm", "Ingested", "NotDoneError", "Office", "Pass", "Problem", "Trouble"]
