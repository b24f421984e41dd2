"""The config: what a user writes, read into typed settings and then into plans that the service can run."""
