"""What stands between a layer's products as compiled loops: small operators, and attention of all sequences at once."""
