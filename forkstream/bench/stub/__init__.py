"""A stub of SQS, S3, DynamoDB, KMS and OpenSearch that is fast enough not to be what is measured."""
