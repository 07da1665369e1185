"""Random models and damaged files, and the runtimes that they are compared with."""
