"""The edge: raw reads in over MQTT, signed EPCIS statements out to a ledger."""
