output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.sync.function_name
}

output "function_arn" {
  description = "ARN of the function."
  value       = aws_lambda_function.sync.arn
}

output "role_arn" {
  description = "ARN of the function's role, which roles of other accounts have to trust."
  value       = aws_iam_role.sync.arn
}

output "log_group_name" {
  description = "Log group of the function."
  value       = aws_cloudwatch_log_group.sync.name
}

output "failed_events_url" {
  description = "Queue of the events that failed for good."
  value       = aws_sqs_queue.failed_events.id
}
