"""The world: a simulated supply chain, its readers' bytes, and the truth attached."""
