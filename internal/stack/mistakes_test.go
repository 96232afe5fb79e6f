package stack

// mistakes are changes of a file that a check has to report, in words that contain want.
var mistakes = []struct{ check, name, file, old, new, want string }{
	{
		"references", "parameter renamed", mainFile, "  LogRetentionDays:\n    Type", "  RetentionDays:\n    Type",
		"refers to LogRetentionDays",
	},
	{
		"references", "parameter unused", mainFile, "RetentionInDays: !Ref LogRetentionDays", "RetentionInDays: 7",
		"does not use its parameter LogRetentionDays",
	},
	{
		"references", "attribute of nothing", mainFile, "Destination: !GetAtt FailedEvents.Arn", "Destination: !GetAtt DeadLetters.Arn",
		"the resource DeadLetters",
	},
	{
		"references", "substitution of nothing", mainFile, "${NoSuccessAlarm.Arn}", "${NoRunAlarm.Arn}",
		"the resource NoRunAlarm",
	},
	{
		"references", "condition of nothing", mainFile, "Condition: HasDashboard", "Condition: WantsDashboard",
		"the condition WantsDashboard",
	},
	{
		"references", "condition unused", mainFile, "!If [ReservesConcurrency, 1, !Ref AWS::NoValue]", "1",
		"does not use its condition ReservesConcurrency",
	},
	{
		"references", "mapping of nothing", mainFile, "!FindInMap [Partition,", "!FindInMap [Partitions,",
		"the mapping Partitions",
	},
	{
		"references", "starter group renamed", starterFile, "  Group3:", "  GroupC:",
		"refers to Group3",
	},
	{
		"references", "variable of a substitution unused", memberFile, `["${SyncedRegions}"]`, `["*"]`,
		"${SyncedRegions}, which its text does not use",
	},

	{"interface", "no group", mainFile, "Parameters: [OnDelete]", "Parameters: []", "OnDelete is in 0 groups"},
	{"interface", "two groups", mainFile, "Parameters: [OnDelete]", "Parameters: [OnDelete, Services]", "Services is in 2 groups"},
	{"interface", "no label", mainFile, "      Release: { default: Release }\n", "", "Release has no label"},
	{"interface", "default refused", mainFile, "Default: rate(1 day)", "Default: daily", `refuses its own default "daily"`},
	{"interface", "no words", mainFile, "    ConstraintDescription: an e-mail address\n", "", "AlarmEmail has a pattern and no words"},

	{"environment", "not read", mainFile, "          TAG_KEY: ", "          TAG_NAME: ", "TAG_NAME is set and not read"},
	{"environment", "not set", mainFile, "          TAG_KEY: ", "          TAG_NAME: ", "TAG_KEY is read and not set"},
	{"environment", "another default", mainFile, "Default: \"50\"", "Default: \"60\"", "defaults are not the function's"},
	{"environment", "parameter that does nothing", mainFile, "EXTERNAL_ID: !If [HasExternalId, !Ref ExternalId,", "EXTERNAL_ID: !If [HasExternalId, !Ref AWS::NoValue,", "ExternalId changes nothing"},
	{"environment", "change unnoticed", mainFile, "      ExternalId: !Ref ExternalId\n", "", "does not notice a change of ExternalId"},
	{"environment", "no choice at deletion", mainFile, "      OnDelete: !Ref OnDelete\n", "", "no property OnDelete"},

	{"parameters", "too lax", mainFile, "^([a-z]{2,}(-[a-z]+)+-[0-9]+(,", "^([a-z]{2,}(-[a-z]+)+-[0-9]+[a-z]?(,", `Regions accepts "eu-west-1a": true`},
	{"parameters", "too strict", mainFile, "^([a-z]{2,}(-[a-z]+)+-[0-9]+(,", "^([a-z]{2}(-[a-z]+)-[0-9]+(,", `Regions accepts "us-gov-west-1": false`},
	{"parameters", "no bound", mainFile, "^(0|[1-9][0-9]?|100)$", "^(0|[1-9][0-9]{0,2})$", `MaxRevokePercent accepts "101": true`},
	{"parameters", "no length", mainFile, "    MaxLength: 128\n", "", `Services accepts "SERVICE_0,`},
	{"parameters", "another parameter", mainFile, "SERVICES: !Ref Services", "SERVICES: !Ref TagKey", "SERVICES is not set from parameter Services"},

	{
		"actions", "called and not allowed", mainFile, "Action: [ec2:DescribeSecurityGroups, ec2:DescribeManagedPrefixLists,", "Action: [ec2:DescribeSecurityGroups,",
		"the function's role does not allow ec2:DescribeManagedPrefixLists",
	},
	{
		"actions", "called and not allowed to the member", memberFile, "                      \"ec2:RevokeSecurityGroupIngress\",\n", "",
		"the member's role does not allow ec2:RevokeSecurityGroupIngress",
	},
	{
		"actions", "allowed and not called", mainFile, "\"ec2:AuthorizeSecurityGroupIngress\",", "\"ec2:AuthorizeSecurityGroupIngress\", \"ec2:AuthorizeSecurityGroupEgress\",",
		"the function's role allows ec2:AuthorizeSecurityGroupEgress, which nothing calls",
	},
	{"actions", "queue forgotten", mainFile, "Action: sqs:SendMessage", "Action: sqs:GetQueueUrl", "does not allow sqs:SendMessage"},

	{"statements", "every log", mainFile, "Resource: !GetAtt SyncLogGroup.Arn", "Resource: \"*\"", "WriteOwnLog has other resources"},
	{"statements", "every role", mainFile, "Resource: !Split [\",\", !Ref RoleArns]", "Resource: \"*\"", "AssumeListedRolesOnly has other resources"},
	{"statements", "every account", mainFile, "ec2:*:${AWS::AccountId}:", "ec2:*:*:", "ChangeInboundRulesOfTaggedGroups has other resources"},
	{"statements", "other lists", mainFile, ":prefix-list/*", ":*", "ReadAndChangeEntriesOfTaggedPrefixLists has other resources"},
	{"statements", "untagged groups", mainFile, `"aws:ResourceTag/${TagKey}": "false"`, `"aws:ResourceTag/${TagKey}": "true"`, "another condition"},
	{"statements", "another tag", mainFile, "aws:ResourceTag/${TagKey}", "aws:ResourceTag/Name", "another condition"},
	{"statements", "every region", mainFile, `["${SyncedRegions}"]`, `["*"]`, "another condition"},
	{"statements", "mutation elsewhere", mainFile, "Action: [ec2:DescribeSecurityGroups,", "Action: [ec2:DeleteSecurityGroup,", "allows ec2:DeleteSecurityGroup on other groups"},
	{"statements", "role without need", mainFile, "HasRoles: !Not [!Equals [!Ref RoleArns, \"\"]]", "HasRoles: !Not [!Equals [!Ref RoleArns, x]]", "AssumeListedRolesOnly is there without a need"},
	{"statements", "anyone's role", mainFile, "Principal: { Service: lambda.amazonaws.com }", "Principal: { AWS: \"*\" }", "others may assume the role"},

	{"member role", "any external ID", memberFile, "                sts:ExternalId: !Ref ExternalId\n", "                aws:PrincipalType: AssumedRole\n", "others may assume the role"},
	{"member role", "any role of the hub", memberFile, "aws:PrincipalArn: !Ref HubRoleArn", "aws:PrincipalArn: \"*\"", "others may assume the role"},
	{"member role", "anyone", memberFile, "arn:${AWS::Partition}:iam::${Hub}:root", "\"*${Hub}\"", "others may assume the role"},
	{"member role", "another tag", memberFile, "aws:ResourceTag/${TagKey}", "aws:ResourceTag/Name", "is another in the hub"},
	{"member role", "more actions", memberFile, "\"ec2:RevokeSecurityGroupIngress\",", "\"ec2:RevokeSecurityGroupIngress\", \"ec2:RevokeSecurityGroupEgress\",", "is another in the hub"},

	{"triggers", "another topic", mainFile, "      TopicArn: !Ref TopicArn\n      # A sub", "      TopicArn: !Ref AlarmTopicArn\n      # A sub", "takes notifications of"},
	{"triggers", "region of the stack", mainFile, "Region: !Select [3, !Split [\":\", !Ref TopicArn]]", "Region: !Ref AWS::Region", "is made in us-east-1"},
	{"triggers", "any topic may invoke", mainFile, "      SourceArn: !Ref TopicArn\n", "", "AnnouncementPermission allows something else"},
	{"triggers", "no permission", mainFile, "Principal: events.amazonaws.com", "Principal: scheduler.amazonaws.com", "SchedulePermission allows something else"},
	{"triggers", "input", mainFile, "        - Id: SyncFunction\n", "        - Id: SyncFunction\n          Input: \"{}\"\n", "sends an input of its own"},
	{"triggers", "always subscribed", mainFile, "    Condition: Subscribes\n    DependsOn", "    DependsOn", "Announcement is not made where"},
	{"triggers", "failed events lost", mainFile, "            Destination: !GetAtt FailedEvents.Arn", "            Destination: !GetAtt SyncLogGroup.Arn", "an event that failed goes to"},

	{"order", "sync before the queue's use", mainFile, "    DependsOn: SyncFunctionEventInvokeConfig\n", "", "SyncAtDeploy is not made after SyncFunctionEventInvokeConfig"},
	{"order", "subscribed before the sync", mainFile, "DependsOn: [SyncAtDeploy, AnnouncementPermission]", "DependsOn: AnnouncementPermission", "Announcement is not made after SyncAtDeploy"},
	{"order", "scheduled before the sync", mainFile, "    DependsOn: SyncAtDeploy\n    Properties:\n      Description: Regular", "    Properties:\n      Description: Regular", "Schedule is not made after SyncAtDeploy"},
	{"order", "circle", mainFile, "RetentionInDays: !Ref LogRetentionDays", "LogGroupName: !Ref SyncFunction", "depends on itself"},

	{"patience", "CloudFormation gives up early", mainFile, "ServiceTimeout: 3000", "ServiceTimeout: 1000", "CloudFormation waits 1000 s"},
	{"patience", "longer than Lambda allows", mainFile, "      Timeout: 900", "      Timeout: 1000", "Lambda ends a run after 900 s"},
	{"patience", "alarm looks back too far", mainFile, "16[0-8])$", "16[0-9])$", "an alarm cannot look back 169 periods"},
	{"patience", "alarm too early", mainFile, "    Default: \"26\"\n", "    Default: \"24\"\n", "after 24 hours does not fit"},
	{"patience", "failed events forgotten", mainFile, "MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 3600", "failed events are kept for 3600 s"},

	{"rules", "opt-in region", mainFile, "              - eu-north-1\n", "              - eu-north-1\n              - eu-south-1\n", `in eu-south-1 with map[] the refusal is ""`},
	{"rules", "region forgotten", mainFile, "              - eu-central-1\n", "", "in eu-central-1"},
	{"rules", "both", mainFile, "Assert: !Or [!Equals [!Ref AlarmEmail, \"\"], !Equals [!Ref AlarmTopicArn, \"\"]]", "Assert: !Equals [!Ref Announcements, \"true\"]", "not both"},
	{"rules", "nobody", mainFile, "RuleCondition: !Equals [!Ref NotifyTopicArn, alarms]", "RuleCondition: !Equals [!Ref NotifyTopicArn, alarm]", "needs AlarmEmail"},

	{"alarms", "metric of nobody", mainFile, "MetricName: FreeSlots", "MetricName: SlotsFree", "alarm PoolNearlyFullAlarm uses CloudFrontSGSync SlotsFree"},
	{"alarms", "dimension of nobody", mainFile, "Dimensions: [{ Name: FunctionName,", "Dimensions: [{ Name: Function,", "alarm RunFailedAlarm uses"},
	{"alarms", "another namespace", mainFile, "      Namespace: !Ref MetricsNamespace", "      Namespace: CloudFront", "which nobody emits"},
	{"alarms", "silence is fine", mainFile, "TreatMissingData: breaching", "TreatMissingData: notBreaching", "the alarm on RunSucceeded is"},
	{"alarms", "tells nobody", mainFile, "      AlarmActions: [", "      InsufficientDataActions: [", "tells []"},
	{"alarms", "without metrics", mainFile, "    Condition: EmitsMetrics\n", "", "is made without the function's metrics: true"},

	{"dashboard", "not JSON", mainFile, `{"widgets": [`, `{"widgets": [,`, "cannot be read"},
	{"dashboard", "metric of nobody", mainFile, `"RulesWanted", "FunctionName"`, `"RulesWished", "FunctionName"`, "RulesWished"},
	{"dashboard", "metric missing", mainFile, `"RulesWanted", "FunctionName"`, `"RulesAdded", "FunctionName"`, "does not show RulesWanted"},
	{"dashboard", "alarm missing", mainFile, `"${PoolShortAlarm.Arn}"`, `"${RunFailedAlarm.Arn}"`, "does not show the alarm PoolShortAlarm"},
	{"dashboard", "overlap", mainFile, `"x": 8, "y": 3,`, `"x": 7, "y": 3,`, "lies over"},
	{"dashboard", "another log", mainFile, "SOURCE '${SyncLogGroup}'", "SOURCE '/aws/lambda/${SyncFunction}'", "searches another log"},
	{"dashboard", "without metrics", mainFile, "HasDashboard: !And [!Condition EmitsMetrics,", "HasDashboard: !And [!Condition Subscribes,", "there is a dashboard with MetricsNamespace=none"},
	{"dashboard", "console of another partition", mainFile, "console.amazonaws.cn", "console.aws.cn", "in aws-cn the dashboard is at"},

	{"build", "another target", makeFile, "build-SyncFunction: build", "build-Function: build", "no target build-SyncFunction"},
	{"build", "another machine", mainFile, "Architectures: [arm64]", "Architectures: [x86_64]", "builds for another machine"},
	{"build", "another handler", mainFile, "Handler: bootstrap", "Handler: main", "that leaves main"},
	{"build", "another output", makeFile, "OutputKey=='FunctionName'", "OutputKey=='Function'", "an output that does not name the function"},
	{"build", "another stack", samFile, `stack_name = "cloudfront-sg-sync"`, `stack_name = "sg-sync"`, "that of samconfig.toml"},
	{"build", "too little capability", samFile, "CAPABILITY_NAMED_IAM", "CAPABILITY_IAM", "the template needs CAPABILITY_NAMED_IAM"},
	{"build", "override of nothing", samFile, "resolve_s3 = true", "parameter_overrides = \"TagKey=a Tag=b\"", "sets Tag, which is no parameter"},

	{"starter", "too few", starterFile, "NeedsFourGroups: !Equals [!Ref Service, CLOUDFRONT]", "NeedsFourGroups: !Equals [!Ref Service, NONE]", "for CLOUDFRONT there are 1 groups"},
	{"starter", "inbound rules", starterFile, "      SecurityGroupEgress:", "      SecurityGroupIngress: []\n      SecurityGroupEgress:", "would be drift"},
	{"starter", "no pool", starterFile, "${TagKey}-pool", "${TagKey}-pools", "the function understands"},
	{"starter", "any port", starterFile, "    AllowedPattern: ^(https?|[1-9]", "    AllowedPattern: ^(https?|.*|[1-9]", `the parameter Port takes "65536"`},

	{"docs", "heading renamed", operationsFile, "### A run failed", "### Failed runs", "alarm RunFailedAlarm points to"},
	{"docs", "parameter of the past", operationsFile, "OneRunAtATime=true", "ReserveConcurrency=true", "sets ReserveConcurrency"},
	{"docs", "output of the past", operationsFile, "# output LogGroupName", "# output LogGroup", "names the output LogGroup"},
	{"docs", "default of the past", configurationFile, "| `50` |", "| `30` |", "the variables of"},
	{"docs", "variable not told of", configurationFile, "| `WITHIN` |", "| within |", "the variables of"},
	{"docs", "metric not counted", operationsFile, "| 13 × $0.30", "| 12 × $0.30", "no row"},
	{"docs", "wrong sum", operationsFile, "**7.50**", "**6.50**", "do not add up"},

	{"deployer", "action missing", deployerFile, `"sqs:SetQueueAttributes", `, "", "not allowed sqs:SetQueueAttributes"},
	{"deployer", "too much", deployerFile, `"sqs:DeleteQueue"`, `"sqs:*"`, "allowed sqs:*"},
	{"deployer", "any queue", deployerFile, `"arn:aws:sqs:*:ACCOUNT:cloudfront-sg-sync-*"`, `"*"`, "allowed sqs:CreateQueue everywhere"},
	{"deployer", "role for anything", deployerFile, `"lambda.amazonaws.com"`, `"ec2.amazonaws.com"`, "to others than Lambda"},
	{"deployer", "service of the past", deployerFile, `"lambda:ListTags"`, `"dynamodb:CreateTable"`, "nothing of that service"},
	{"deployer", "resource of a new type", mainFile, "Type: AWS::CloudWatch::Dashboard", "Type: AWS::S3::Bucket", "what a deployer needs for AWS::S3::Bucket"},
}
