"""A phone-aligned English-Spanish corpus of many synthetic speakers: see :mod:`speechunits.data.demo.corpus`."""
