"""The NATS door as it runs in production: gateways as processes, under load, with servers that come and go."""
