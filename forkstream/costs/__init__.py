"""What a config costs on AWS: requests and compute, worked out from what each plugin says it is billed for."""
