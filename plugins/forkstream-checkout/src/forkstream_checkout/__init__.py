"""The e-commerce shop that forkstream's walk-through serves: its order, its table, its API and its customers."""
