"""The web program that takes members over HTTP: it lands what is posted to it, and publishes it.

Imports of its parts go one way: `app` makes it of the routes (`users`, `analysis`, `health`, `document`), which are
given `services`; `batch` and `body` are what becomes of a request's bytes.
"""
