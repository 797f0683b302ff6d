"""Which parameters of a finished encoder are trained, and which are added: ``tuning(encoder)`` prepares it in place.

A way of tuning that leaves the architecture alone, or can be folded back into it, has ``plain(encoder) -> encoder``: a
copy of the tuned encoder as it was configured, to be saved and used like any other.
"""
