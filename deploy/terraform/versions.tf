terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0, < 7.0"
      # Of the region of the topic of the announcements, us-east-1.
      configuration_aliases = [aws.topic]
    }
  }
}
