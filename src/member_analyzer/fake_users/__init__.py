"""A bundled user API, compatible with randomuser.me 1.4: a page of a seed never changes.

`python -m member_analyzer.fake_users` serves it. Generation is pure; only `app` imports a web framework.

It differs from randomuser.me where the tests need it: a seed and a gender can be combined, a city belongs to its state,
some users are under 18, and an unknown page, nationality, gender or format is an error.
"""
