"""What prospects and staff see: pages made here, complete without JavaScript.

- `rendering`  templates into answers; `language` sentences, dates and times; `assets` the files beside the pages
- `visitor`    one request: its language, where the person came from, tokens of forms, limits
- `browse`     the properties, one property, its free times
- `register`   the form, and what becomes of it
- `tour`       the page of one tour: the pass, its pictures and files; `change` moving and cancelling it
- `routes`     all of them by path
"""
