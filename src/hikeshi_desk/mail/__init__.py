"""Mail in and out: parsed in a limited child, threads by message id and token."""
