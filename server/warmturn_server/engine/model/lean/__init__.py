"""Steps of the Llama family with few operators: fused products, no module's own code between them."""
