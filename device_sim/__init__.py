"""The world: a simulated supply chain whose readers publish real payloads, with the truth attached."""
