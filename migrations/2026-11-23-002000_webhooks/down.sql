DROP TABLE webhook_calls;
DROP TABLE webhook_endpoints;
