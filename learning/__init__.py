"""Networks that predict the catchment from surface fields."""
