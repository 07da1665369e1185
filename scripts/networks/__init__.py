"""Shapes of known networks, as :mod:`scripts.shapes` reads them."""
