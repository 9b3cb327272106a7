"""Measuring: full ranking, intervals, paired comparison."""
