"""Other names of the splits, as folders and tables have them."""

ALSO_CALLED = {"valid": "val", "validation": "val"}
