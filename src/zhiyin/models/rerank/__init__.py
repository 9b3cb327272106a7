"""Re-rankers: what a list should be beyond its best items. They drop or reorder candidates and never add any."""
