# The resources of template.yaml, for Terraform; template.yaml says why each is as it is. internal/stack tests that the
# two agree.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  regions = var.regions == "" ? [data.aws_region.current.name] : compact(split(",", replace(var.regions, " ", ",")))
  announced_regions = [ # The template says where they come from.
    "us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1",
    "eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1",
    "ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
  ]
  role_arns     = compact(split(",", replace(var.role_arns, " ", ",")))
  emits_metrics = var.metrics_namespace != "none"
  alarm_actions = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]

  environment = {
    IP_RANGES_URL      = var.ip_ranges_url
    TOPIC_ARN          = var.topic_arn
    SERVICES           = var.services
    WITHIN             = var.within
    IP_FAMILIES        = var.ip_families
    TAG_KEY            = var.tag_key
    REGIONS            = join(",", local.regions)
    MEMBER_ACCOUNTS    = var.member_accounts
    MEMBER_ROLE_NAME   = var.member_accounts == "" ? "" : var.member_role_name
    ROLE_ARNS          = var.role_arns
    EXTERNAL_ID        = var.external_id
    RULES_PER_GROUP    = var.rules_per_group
    MAX_REVOKE_PERCENT = var.max_revoke_percent
    METRICS_NAMESPACE  = var.metrics_namespace
    NOTIFY_TOPIC_ARN   = var.notify_topic_arn
    EVENT_QUEUE_ARN    = aws_sqs_queue.changes.arn
    HTTPS_PROXY        = var.https_proxy
  }
}

# ---- The function --------------------------------------------------------------------------------------------------

resource "aws_lambda_function" "sync" {
  function_name                  = var.name
  description                    = "Makes tagged security groups equal to the published CloudFront ranges."
  filename                       = var.filename
  source_code_hash               = filebase64sha256(var.filename)
  runtime                        = "provided.al2023"
  handler                        = "bootstrap"
  architectures                  = [var.architecture]
  memory_size                    = var.memory_size
  timeout                        = 900
  reserved_concurrent_executions = var.one_run_at_a_time ? 1 : -1
  role                           = aws_iam_role.sync.arn
  kms_key_arn                    = var.environment_key_arn == "" ? null : var.environment_key_arn
  code_signing_config_arn        = var.code_signing_config_arn == "" ? null : var.code_signing_config_arn

  dynamic "vpc_config" {
    for_each = var.subnet_ids == "" ? [] : [true]

    content {
      subnet_ids         = compact(split(",", replace(var.subnet_ids, " ", ",")))
      security_group_ids = compact(split(",", replace(var.security_group_ids, " ", ",")))
    }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.sync.name
  }

  environment {
    variables = { for name, value in local.environment : name => value if value != "" }
  }

  lifecycle {
    precondition {
      condition     = var.within == "" || var.within != var.services
      error_message = "within is the same as services, so it makes no rule fewer. For the compact cover of CloudFront set services=CLOUDFRONT_ORIGIN_FACING and within=CLOUDFRONT."
    }

    precondition {
      condition     = (var.subnet_ids == "") == (var.security_group_ids == "")
      error_message = "Give subnet_ids and security_group_ids, or neither."
    }
  }

  depends_on = [aws_iam_role_policy.sync]
}

resource "aws_lambda_function_event_invoke_config" "sync" {
  function_name                = aws_lambda_function.sync.function_name
  maximum_retry_attempts       = 2
  maximum_event_age_in_seconds = 21600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed_events.arn
    }
  }
}

resource "aws_cloudwatch_log_group" "sync" {
  name              = "/cloudfront-sg-sync/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_key_arn == "" ? null : var.log_key_arn
}

# ---- What it may do ------------------------------------------------------------------------------------------------

resource "aws_iam_role" "sync" {
  name                 = var.role_name == "" ? null : var.role_name
  name_prefix          = var.role_name == "" ? substr("${var.name}-", 0, 38) : null
  description          = "Function ${var.name}: changes inbound rules of tagged security groups."
  permissions_boundary = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "LambdaRunsAsThisRole"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

data "aws_iam_policy_document" "sync" {
  statement {
    sid       = "WriteOwnLog"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.sync.arn}:*"]
  }

  statement {
    sid       = "SendFailedEvents"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.failed_events.arn]
  }

  statement {
    sid       = "ReceiveChanges"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.changes.arn]
  }

  statement {
    sid       = "DescribeGroupsAndWhatTheyMeet"
    actions   = ["ec2:DescribeSecurityGroups", "ec2:DescribeManagedPrefixLists", "ec2:DescribeNetworkInterfaces"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = local.regions
    }
  }

  statement {
    sid       = "ReadEntriesOfPrefixLists"
    actions   = ["ec2:GetManagedPrefixListEntries"]
    resources = ["arn:${data.aws_partition.current.partition}:ec2:*:*:prefix-list/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = local.regions
    }
  }

  statement {
    sid       = "ChangeInboundRulesOfTaggedGroups"
    actions   = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:UpdateSecurityGroupRuleDescriptionsIngress"]
    resources = ["arn:${data.aws_partition.current.partition}:ec2:*:${data.aws_caller_identity.current.account_id}:security-group/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/${var.tag_key}"
      values   = ["false"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = local.regions
    }
  }

  statement {
    sid       = "ChangeEntriesOfTaggedPrefixLists"
    actions   = ["ec2:ModifyManagedPrefixList"]
    resources = ["arn:${data.aws_partition.current.partition}:ec2:*:${data.aws_caller_identity.current.account_id}:prefix-list/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/${var.tag_key}"
      values   = ["false"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = local.regions
    }
  }

  dynamic "statement" {
    for_each = var.subnet_ids == "" ? [] : [true]

    content {
      sid = "LambdaConnectsFunction"
      actions = [
        "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses",
        "ec2:DescribeSubnets", "ec2:DescribeNetworkInterfaces",
      ]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = var.subnet_ids == "" ? [] : [true]

    content {
      sid       = "CodeConnectsNothing"
      effect    = "Deny"
      actions   = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
      resources = ["*"]

      condition {
        test     = "ArnLike"
        variable = "lambda:SourceFunctionArn"
        values   = ["arn:${data.aws_partition.current.partition}:lambda:*:${data.aws_caller_identity.current.account_id}:function:*"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.environment_key_arn == "" ? [] : [true]

    content {
      sid       = "DecryptEnvironment"
      actions   = ["kms:Decrypt"]
      resources = [var.environment_key_arn]
    }
  }

  dynamic "statement" {
    for_each = var.rules_per_group == "auto" ? [true] : []

    content {
      sid       = "ReadQuotas"
      actions   = ["servicequotas:GetServiceQuota"]
      resources = ["*"]
    }
  }

  dynamic "statement" {
    for_each = length(local.role_arns) > 0 ? [true] : []

    content {
      sid       = "AssumeListedRolesOnly"
      actions   = ["sts:AssumeRole"]
      resources = local.role_arns
    }
  }

  dynamic "statement" {
    for_each = var.member_accounts == "" ? [] : [true]

    content {
      sid       = "AssumeRolesOfThatName"
      actions   = ["sts:AssumeRole"]
      resources = ["arn:${data.aws_partition.current.partition}:iam::*:role/${var.member_role_name}"]
    }
  }

  dynamic "statement" {
    for_each = var.queue_key_arn == "" ? [] : [true]

    content {
      sid       = "UseKeyOfQueue"
      actions   = ["kms:GenerateDataKey", "kms:Decrypt"]
      resources = [var.queue_key_arn]
    }
  }

  dynamic "statement" {
    for_each = var.notify_topic_arn == "" ? [] : [true]

    content {
      sid       = "PublishChanges"
      actions   = ["sns:Publish"]
      resources = [var.notify_topic_arn]
    }
  }
}

resource "aws_iam_role_policy" "sync" {
  name   = "Sync"
  role   = aws_iam_role.sync.id
  policy = data.aws_iam_policy_document.sync.json
}

# ---- When it runs --------------------------------------------------------------------------------------------------

# The subscription is made in the topic's region, whatever the function's: this provider has to be of that region.
resource "aws_sns_topic_subscription" "announcement" {
  count    = var.announcements ? 1 : 0
  provider = aws.topic

  topic_arn = var.topic_arn
  protocol  = "lambda"
  endpoint  = aws_lambda_function.sync.arn

  depends_on = [aws_lambda_permission.announcement]

  lifecycle {
    precondition {
      condition     = var.topic_arn != "arn:aws:sns:us-east-1:806199016981:AmazonIpSpaceChanged" || contains(local.announced_regions, data.aws_region.current.name)
      error_message = "SNS does not deliver the announcements of new ranges to this region. Use a region that is enabled by default, such as us-east-1, and name this one in regions; or set announcements = false and schedule_expression = \"rate(1 hour)\"."
    }
  }
}

resource "aws_lambda_permission" "announcement" {
  count = var.announcements ? 1 : 0

  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.sync.function_name
  principal     = "sns.amazonaws.com"
  source_arn    = var.topic_arn
}

resource "aws_cloudwatch_event_rule" "schedule" {
  name                = var.name
  description         = "Regular sync of tagged security groups, besides the announcements."
  schedule_expression = var.schedule_expression
}

resource "aws_cloudwatch_event_target" "schedule" {
  rule = aws_cloudwatch_event_rule.schedule.name
  arn  = aws_lambda_function.sync.arn

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 20
  }

  dead_letter_config {
    arn = aws_sqs_queue.failed_events.arn
  }

  depends_on = [aws_lambda_permission.schedule, aws_lambda_function_event_invoke_config.sync]
}

resource "aws_lambda_permission" "schedule" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.sync.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule.arn
}

# More triggers of a run: changed tags and, if wanted, changed rules and entries, through a queue so that no two of
# these runs overlap.
locals {
  changes = {
    tag-change = {
      description = "Somebody changed a tag that says which ports to open."
      pattern = jsonencode({
        source        = ["aws.tag"]
        "detail-type" = ["Tag Change on Resource"]
        detail = {
          service            = ["ec2"]
          "changed-tag-keys" = [var.tag_key, "${var.tag_key}-pool", "${var.tag_key}-mode", "${var.tag_key}-public"]
        }
      })
    }
    api-call = {
      description = "Somebody else changed inbound rules or the entries of a prefix list."
      pattern = jsonencode({
        source        = ["aws.ec2"]
        "detail-type" = ["AWS API Call via CloudTrail"]
        detail = {
          eventSource = ["ec2.amazonaws.com"]
          eventName = [
            "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress", "ModifySecurityGroupRules",
            "ModifyManagedPrefixList", "RestoreManagedPrefixListVersion",
          ]
          errorCode = [{ exists = false }]
          "$or" = [
            { userIdentity = { sessionContext = { sessionIssuer = { arn = [{ "anything-but" = aws_iam_role.sync.arn }] } } } },
            { userIdentity = { sessionContext = { sessionIssuer = { arn = [{ exists = false }] } } } },
          ]
        }
      })
    }
  }
}

resource "aws_cloudwatch_event_rule" "changes" {
  for_each = { for name, change in local.changes : name => change if name != "api-call" || var.watch_changes }

  name          = "${var.name}-${each.key}"
  description   = each.value.description
  event_pattern = each.value.pattern
}

resource "aws_cloudwatch_event_target" "changes" {
  for_each = aws_cloudwatch_event_rule.changes

  rule = each.value.name
  arn  = aws_sqs_queue.changes.arn

  sqs_target {
    message_group_id = "changes"
  }

  dead_letter_config {
    arn = aws_sqs_queue.failed_events.arn
  }
}

resource "aws_sqs_queue" "changes" {
  name                        = "${var.name}-changes.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  delay_seconds               = 60
  visibility_timeout_seconds  = 960
  message_retention_seconds   = 10800
  sqs_managed_sse_enabled     = var.queue_key_arn == "" ? true : null
  kms_master_key_id           = var.queue_key_arn == "" ? null : var.queue_key_arn
}

resource "aws_sqs_queue_policy" "changes" {
  queue_url = aws_sqs_queue.changes.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RulesSendChanges"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.changes.arn
      Condition = { ArnEquals = { "aws:SourceArn" = values(aws_cloudwatch_event_rule.changes)[*].arn } }
    }]
  })
}

resource "aws_lambda_event_source_mapping" "changes" {
  event_source_arn = aws_sqs_queue.changes.arn
  function_name    = aws_lambda_function.sync.arn
  batch_size       = 10
}

resource "aws_sqs_queue" "failed_events" {
  name                      = "${var.name}-failed-events"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = var.queue_key_arn == "" ? true : null
  kms_master_key_id         = var.queue_key_arn == "" ? null : var.queue_key_arn
}

resource "aws_sqs_queue_policy" "failed_events" {
  queue_url = aws_sqs_queue.failed_events.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RulesSendWhatTheyCouldNotDeliver"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.failed_events.arn
      Condition = { ArnEquals = { "aws:SourceArn" = concat([aws_cloudwatch_event_rule.schedule.arn], values(aws_cloudwatch_event_rule.changes)[*].arn) } }
    }]
  })
}

# ---- Alarms and notices --------------------------------------------------------------------------------------------

locals {
  # Defaults of the alarms.
  usual_alarm = {
    namespace           = var.metrics_namespace
    dimensions          = { FunctionName = aws_lambda_function.sync.function_name }
    statistic           = "Maximum"
    period              = 300
    evaluation_periods  = 1
    threshold           = 1
    comparison_operator = "GreaterThanOrEqualToThreshold"
    treat_missing_data  = "ignore"
    ok_actions          = local.alarm_actions
  }

  alarms = {
    run-failed = {
      alarm_description  = "A run failed. The function's log says what failed and what to do; what can be tried again is. See docs/alarms.md, \"A run failed\"."
      namespace          = "AWS/Lambda"
      metric_name        = "Errors"
      statistic          = "Sum"
      plus               = local.emits_metrics ? ["RunFailed"] : []
      treat_missing_data = "notBreaching"
      ok_actions         = []
    }
    event-lost = {
      alarm_description  = "An event failed for good and is in the queue of failed events, with its error. The schedule makes up for it. See docs/alarms.md, \"An event was lost\"."
      namespace          = "AWS/SQS"
      metric_name        = "ApproximateNumberOfMessagesVisible"
      dimensions         = { QueueName = aws_sqs_queue.failed_events.name }
      treat_missing_data = "notBreaching"
    }
    pool-short = {
      alarm_description = "A pool is too small: part of the published ranges is not let in. The function's log says how many groups or which quota it takes. See docs/alarms.md, \"A pool is too small\"."
      metric_name       = "PoolsShort"
    }
    interface-incomplete = {
      alarm_description = "A network interface has only part of a pool: part of the published ranges is not let in there. The function's log says which groups to attach. See docs/alarms.md, \"An interface is incomplete\"."
      metric_name       = "InterfacesIncomplete"
    }
    open-to-world = {
      alarm_description  = "A managed port, 80 or 443 is open to the whole internet, past CloudFront and its WAF. The function's log says which rule to remove. See docs/alarms.md, \"The world gets in\"."
      metric_name        = "OpenToWorld"
      treat_missing_data = "notBreaching"
      ok_actions         = []
    }
    drift = {
      alarm_description  = "Somebody undoes the function's work again and again, and the function theirs. See docs/alarms.md, \"Two tools undo each other\"."
      metric_name        = "DriftRepaired"
      statistic          = "Sum"
      period             = 3600
      threshold          = 3
      treat_missing_data = "notBreaching"
      ok_actions         = []
    }
    pool-nearly-full = {
      alarm_description   = "The tightest pool has little room left; the next published ranges may not fit. See docs/alarms.md, \"A pool is nearly full\"."
      metric_name         = "FreeSlots"
      statistic           = "Minimum"
      threshold           = var.free_slots_threshold
      comparison_operator = "LessThanThreshold"
    }
    no-success = {
      alarm_description   = "No run has succeeded for longer than the schedule's interval: it does not run, or every run fails. See docs/alarms.md, \"No run has succeeded\"."
      metric_name         = "RunSucceeded"
      period              = 3600
      evaluation_periods  = var.hours_without_success
      comparison_operator = "LessThanThreshold"
      treat_missing_data  = "breaching"
    }
  }
}

# With metrics_namespace = "none" only the alarms that name a namespace of AWS's are made.
resource "aws_cloudwatch_metric_alarm" "sync" {
  for_each = {
    for name, alarm in local.alarms : name => merge(local.usual_alarm, alarm)
    if(local.emits_metrics || can(alarm.namespace)) && (var.watch_changes || name != "drift")
  }

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.alarm_description
  namespace           = can(each.value.plus) ? null : each.value.namespace
  metric_name         = can(each.value.plus) ? null : each.value.metric_name
  dimensions          = can(each.value.plus) ? null : each.value.dimensions
  statistic           = can(each.value.plus) ? null : each.value.statistic
  period              = can(each.value.plus) ? null : each.value.period
  evaluation_periods  = each.value.evaluation_periods
  threshold           = each.value.threshold
  comparison_operator = each.value.comparison_operator
  treat_missing_data  = each.value.treat_missing_data
  alarm_actions       = local.alarm_actions
  ok_actions          = each.value.ok_actions

  # The sum of a metric of AWS's and of the function's own.
  dynamic "metric_query" {
    for_each = can(each.value.plus) ? concat([each.value.metric_name], each.value.plus) : []

    content {
      id = lower(metric_query.value)

      metric {
        namespace   = metric_query.key == 0 ? each.value.namespace : var.metrics_namespace
        metric_name = metric_query.value
        dimensions  = each.value.dimensions
        stat        = each.value.statistic
        period      = each.value.period
      }
    }
  }

  dynamic "metric_query" {
    for_each = can(each.value.plus) ? [concat([each.value.metric_name], each.value.plus)] : []

    content {
      id          = "failures"
      return_data = true
      expression  = join(" + ", [for metric in metric_query.value : "FILL(${lower(metric)}, 0)"])
    }
  }
}
