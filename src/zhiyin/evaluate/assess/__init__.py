"""Is a recommender worth it on this data? One page for whoever decides: see ``measure.assess``."""
