"""One module for each command of ``speechunits``: ``add`` declares it, the function beside it does it."""
