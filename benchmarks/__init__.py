"""What a request costs: ratios to a bare web server and to the usual stack, measured in one run."""
