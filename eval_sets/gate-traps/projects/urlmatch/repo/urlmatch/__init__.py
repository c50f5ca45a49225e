"""Routes for paths, and the queries behind them."""
