# The template's parameters, except those of its e-mail topic, its dashboard, and its sync at deployment.

variable "name" {
  type        = string
  description = "Name of the function, and what the names of its other parts begin with."
  default     = "cloudfront-sg-sync"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,50}$", var.name))
    error_message = "Letters, digits, underscores and hyphens, at most 50."
  }
}

variable "filename" {
  type        = string
  description = "Path of the function's zip, from a release: cloudfront-sg-sync_VERSION_lambda_ARCHITECTURE.zip."
  nullable    = false
}

variable "architecture" {
  type        = string
  description = "Architecture that the zip is built for, as in its name: arm64 or x86_64."
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "One of arm64, x86_64."
  }
}

variable "services" {
  type        = string
  description = "Services of ip-ranges.json whose ranges are let in. CLOUDFRONT_ORIGIN_FACING are the servers that really connect to origins."
  default     = "CLOUDFRONT"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Z0-9_]+([ ,]+[A-Z0-9_]+)*$", var.services)) && length(var.services) <= 72
    error_message = "Names of services as in ip-ranges.json, separated by commas, at most 72 characters."
  }
}

variable "within" {
  type        = string
  description = "Services whose ranges may be let in as well, so that fewer rules are needed. services = CLOUDFRONT_ORIGIN_FACING with within = CLOUDFRONT is the compact cover: a tenth of the rules of CLOUDFRONT, and no address that is not CloudFront's. Empty to let in the services and nothing else."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Z0-9_]+([ ,]+[A-Z0-9_]+)*)?$", var.within)) && length(var.within) <= 47
    error_message = "Names of services as in ip-ranges.json, separated by commas, at most 47 characters."
  }
}

variable "ip_families" {
  type        = string
  description = "Families of addresses that are let in."
  default     = "ipv4,ipv6"
  nullable    = false

  validation {
    condition     = can(regex("^ipv[46]([ ,]+ipv[46])*$", var.ip_families))
    error_message = "ipv4, ipv6, or both, separated by a comma."
  }
}

variable "tag_key" {
  type        = string
  description = "Key of the tag that a security group carries to be managed; its value is the list of ports. The tags KEY-pool, KEY-mode and KEY-public go with it."
  default     = "cloudfront-ingress"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", var.tag_key))
    error_message = "Letters, digits, dots, underscores and hyphens, at most 100."
  }
}

variable "regions" {
  type        = string
  description = "Regions whose security groups are managed. Empty for the function's own."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([a-z]{2,}(-[a-z]+)+-[0-9]+((, ?| )[a-z]{2,}(-[a-z]+)+-[0-9]+)*)?$", var.regions))
    error_message = "Region codes such as eu-west-1, separated by commas."
  }
}

variable "member_accounts" {
  type        = string
  description = "Other accounts whose security groups are managed as well, by the role member_role_name in each. Empty for this account alone. docs/member-role.yaml makes the role."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([0-9]{12}((, ?| )[0-9]{12})*)?$", var.member_accounts))
    error_message = "IDs of accounts, 12 digits each, separated by commas."
  }
}

variable "member_role_name" {
  type        = string
  description = "Name of the role to assume in each of member_accounts."
  default     = "cloudfront-sg-sync"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]([A-Za-z0-9+=,.@_/-]{0,510}[A-Za-z0-9+=,.@_-])?$", var.member_role_name))
    error_message = "The name of an IAM role, such as cloudfront-sg-sync or net/cloudfront-sg-sync."
  }
}

variable "role_arns" {
  type        = string
  description = "Roles of other accounts to assume, whose security groups are managed as well, where they are not all of one name. In an account that both name, it replaces the role of member_accounts."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=.@_/-]+((, ?| )arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=.@_/-]+)*)?$", var.role_arns))
    error_message = "ARNs of IAM roles, separated by commas."
  }
}

variable "external_id" {
  type        = string
  description = "External ID that these roles ask for in their trust policies. Empty if they do not."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z0-9_+=,.@:/-]{2,})?$", var.external_id)) && length(var.external_id) <= 1224
    error_message = "Two or more letters, digits and _+=,.@:/-."
  }
}

variable "rules_per_group" {
  type        = string
  description = "Inbound rules that a security group holds, for each family of addresses. \"auto\" asks Service Quotas in each region and account."
  default     = "auto"
  nullable    = false

  validation {
    condition     = can(regex("^(auto|[1-9][0-9]{0,2}|1000)$", var.rules_per_group))
    error_message = "Give auto, or a number from 1 to 1000."
  }
}

variable "max_revoke_percent" {
  type        = string
  description = "If a published list would take addresses from more than this share of a pool's rules, or more than this share of its addresses, the run adds what is new, closes nothing in that pool, and fails."
  default     = "50"
  nullable    = false

  validation {
    condition     = can(regex("^(0|[1-9][0-9]?|100)$", var.max_revoke_percent))
    error_message = "A whole number from 0 to 100."
  }
}

variable "schedule_expression" {
  type        = string
  description = "When to run, apart from announcements and changes of tags. A scheduled run finds whatever no event told: rules that were changed by hand, lost announcements, and what is open to the world."
  default     = "rate(1 day)"
  nullable    = false

  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.schedule_expression))
    error_message = "Write rate(…) or cron(…)."
  }
}

variable "announcements" {
  type        = bool
  description = "Subscribe to the topic of the announcements. false only where SNS cannot deliver them: in regions that have to be enabled first, in China and in GovCloud. There run the schedule hourly."
  default     = true
  nullable    = false
}

variable "watch_changes" {
  type        = bool
  description = "Also run when somebody else changes inbound rules or prefix lists, and put back what is wanted. EventBridge hears of such changes only where the account has a CloudTrail trail."
  default     = false
  nullable    = false
}

variable "one_run_at_a_time" {
  type        = bool
  description = "Reserve one concurrent execution for the function, so that no two runs meet. Lambda lets you only where 100 of the account's remain for others: new accounts have fewer."
  default     = false
  nullable    = false
}

variable "memory_size" {
  type        = number
  description = "Memory of the function in MB, and in proportion to it the share of a processor. docs/reference.md says how much many accounts and groups take."
  default     = 256
  nullable    = false

  validation {
    condition     = contains([128, 256, 512, 1024, 1769, 3008], var.memory_size)
    error_message = "One of 128, 256, 512, 1024, 1769, 3008."
  }
}

variable "alarm_topic_arn" {
  type        = string
  description = "Topic, in the function's region, that alarms are sent to. Empty for none."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+)?$", var.alarm_topic_arn))
    error_message = "The ARN of an SNS topic."
  }
}

variable "notify_topic_arn" {
  type        = string
  description = "Topic that gets a message in words each time rules change. Empty for none."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+)?$", var.notify_topic_arn))
    error_message = "The ARN of an SNS topic."
  }
}

variable "free_slots_threshold" {
  type        = string
  description = "Alarm when the tightest pool has room for fewer rules than this, in either family of addresses. 0 for no such alarm."
  default     = "5"
  nullable    = false

  validation {
    condition     = can(regex("^(0|[1-9][0-9]{0,2}|1000)$", var.free_slots_threshold))
    error_message = "A whole number from 0 to 1000."
  }
}

variable "hours_without_success" {
  type        = string
  description = "Alarm when no run has succeeded for so long. It has to be longer than the schedule's interval; at most a week."
  default     = "26"
  nullable    = false

  validation {
    condition     = can(regex("^([2-9]|[1-9][0-9]|1[0-5][0-9]|16[0-8])$", var.hours_without_success))
    error_message = "A whole number from 2 to 168."
  }
}

variable "metrics_namespace" {
  type        = string
  description = "CloudWatch namespace of the function's metrics. \"none\" for no metrics; then there is no alarm but that of failed runs and that of lost events."
  default     = "CloudFrontSGSync"
  nullable    = false

  validation {
    condition     = can(regex("^([B-Za-z0-9._/#-]|A[A-VX-Za-z0-9._/#:-]|AW[A-RT-Za-z0-9._/#:-])[A-Za-z0-9._/#:-]*$", var.metrics_namespace)) && length(var.metrics_namespace) <= 255
    error_message = "Letters, digits and ._/#:-, not beginning with AWS, or none."
  }
}

variable "log_retention_days" {
  type        = number
  description = "Days that the function's logs are kept."
  default     = 90
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "One of 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653."
  }
}

variable "log_key_arn" {
  type        = string
  description = "KMS key that encrypts the function's logs; its policy has to let CloudWatch Logs use it. Empty for AWS's own."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", var.log_key_arn))
    error_message = "The ARN of a KMS key."
  }
}

variable "queue_key_arn" {
  type        = string
  description = "KMS key that encrypts the queues; its policy has to let EventBridge use it. Empty for SQS's own."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", var.queue_key_arn))
    error_message = "The ARN of a KMS key."
  }
}

variable "subnet_ids" {
  type        = string
  description = "Subnets to connect the function to, with a way out to the internet, where the ranges are. Empty to connect it to no VPC."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(subnet-[0-9a-f]+((, ?| )subnet-[0-9a-f]+)*)?$", var.subnet_ids))
    error_message = "IDs of subnets, separated by commas."
  }
}

variable "security_group_ids" {
  type        = string
  description = "Security groups of the function in these subnets. They need no inbound rule."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(sg-[0-9a-f]+((, ?| )sg-[0-9a-f]+)*)?$", var.security_group_ids))
    error_message = "IDs of security groups, separated by commas."
  }
}

variable "https_proxy" {
  type        = string
  description = "Proxy for all of the function's requests, such as http://proxy.example.com:3128. Empty for none."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?)?$", var.https_proxy))
    error_message = "The URL of a proxy, without user and password."
  }
}

variable "environment_key_arn" {
  type        = string
  description = "KMS key that encrypts the function's environment variables. Empty for AWS's own."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+)?$", var.environment_key_arn))
    error_message = "The ARN of a KMS key."
  }
}

variable "code_signing_config_arn" {
  type        = string
  description = "Code signing configuration that the code has to satisfy. The zip of a release is not signed; sign it with AWS Signer first."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:code-signing-config:csc-[a-z0-9]+)?$", var.code_signing_config_arn))
    error_message = "The ARN of a code signing configuration."
  }
}

variable "ip_ranges_url" {
  type        = string
  description = "Where the published ranges are fetched from."
  default     = "https://ip-ranges.amazonaws.com/ip-ranges.json"
  nullable    = false

  validation {
    condition     = can(regex("^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/([!-$&-~]|%[0-9A-Fa-f]{2})*)?$", var.ip_ranges_url))
    error_message = "An https URL."
  }
}

variable "topic_arn" {
  type        = string
  description = "Topic that announces new ranges. Messages from any other are refused."
  default     = "arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged"
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.topic_arn))
    error_message = "The ARN of an SNS topic."
  }
}

variable "role_name" {
  type        = string
  description = "Name of the function's role, unique in the account, so that the trust of other accounts' roles outlives a function that is created again. Empty for a generated name."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{0,64}$", var.role_name))
    error_message = "Letters, digits and +=,.@_-, at most 64."
  }
}

variable "permissions_boundary_arn" {
  type        = string
  description = "Permissions boundary of the function's role, where your account demands one."
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^(arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[A-Za-z0-9+=,.@_/-]+)?$", var.permissions_boundary_arn))
    error_message = "The ARN of an IAM policy."
  }
}
