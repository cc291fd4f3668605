"""Fields and records in: ocean simulations, satellite products, trap records, sites, stores."""
