"""What partners are told by signed webhooks: targets, deliveries and their retries."""
