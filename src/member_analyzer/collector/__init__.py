"""HTTP service that lands posted members and publishes them, and writes interactions to Kafka.

Imports go one way: `app` assembles the routers (`users`, `tracking`, `analysis`, `health`, `openapi`), which receive
the services of `dependencies`; `body` and `batch` process the payload of a request.
"""
