"""A user API of our own that speaks the randomuser.me 1.4 API: the same page of the same seed is always the same.

`python -m member_analyzer.fake_users` serves it. Generation is pure and imports no web framework; only `app` does.

It differs from the real one where a test needs it: a seed and a gender can be given together, a city lies in its state,
some users are under 18, and a page, nationality, gender or format that there is not is an error instead of ignored.
"""
