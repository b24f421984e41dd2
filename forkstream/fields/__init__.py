"""Where a value stands in an event, as configs name it: paths, single fields, times."""
