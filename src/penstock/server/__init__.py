"""A server: a dispatcher that alone claims and settles, and the worker processes that run the user's code."""
