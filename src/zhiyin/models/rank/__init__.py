"""The second stage: rankers that score given candidates by the columns of their slates."""
