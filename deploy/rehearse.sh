#!/usr/bin/env bash
# Rehearses the stack in an AWS account, and answers what the pages leave open until then ("not yet run on AWS"). See
# docs/reference.md. It needs the AWS CLI, Go, make, git, zip, curl and openssl.
#
#     make rehearse                 asks before it makes anything; YES=1 does not ask
#     make rehearse OLD=v0.1.0      updates from that release instead of the last one
#     make rehearse CLEAN=NAME      only removes what the rehearsal NAME left behind
#
# Whatever it makes has NAME as its name or in a tag. No two rehearsals share a NAME, and it removes nothing else. NAME
# is also the stack's TagKey, so that its function leaves all other groups and lists alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A call that fails for a passing reason is made again: a rehearsal makes hundreds.
export AWS_PAGER="" AWS_RETRY_MODE=standard AWS_MAX_ATTEMPTS=6
emulated=${AWS_ENDPOINT_URL:-}
pause=5 && [[ -z $emulated ]] || pause=0.2
name=${CLEAN:-cfsg-rehearsal-$(openssl rand -hex 4)}
cfsg=${CFSG:-build/cfsg}
answers=() noes=0

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { printf 'rehearse: %s\n' "$1" >&2 && exit 1; }
# Older releases of the AWS CLI do not read AWS_ENDPOINT_URL.
aws() { command aws ${emulated:+--endpoint-url "$emulated"} "$@"; }
text() { aws "$@" --output text; }

# ---- Answers

answer() { # yes|no|"not shown here" PAGE QUESTION [WHY]: the page that leaves the question open
	[[ $1 != no ]] || noes=$((noes + 1))
	local line && line=$(printf '%-14s  %s (%s)%s' "$1" "$3" "$2" "${4:+: $4}")
	answers+=("$line")
	say "$line"
}

shows() { # SECONDS PAGE QUESTION COMMAND…: yes if the command succeeds in this time. What AWS answers may lag behind.
	local seconds=$1 page=$2 question=$3 began=$SECONDS
	shift 3
	until "$@" >"$work/out" 2>&1; do
		if ((SECONDS - began >= seconds)); then
			answer no "$page" "$question" "not within $seconds s: $(tail -n 1 "$work/out" | cut -c1-300)"
			return
		fi
		sleep "$pause"
	done
	answer yes "$page" "$question" "$((SECONDS - began)) s"
}

on_aws() { # as shows, for what the emulation cannot show
	if [[ -z $emulated ]]; then shows "$@"; else answer "not shown here" "$2" "$3"; fi
}

has() { # TEXT COMMAND…: the command prints that, among other things
	local got && got=$("${@:2}")
	[[ $got == *"$1"* ]] || { echo "${got:-nothing}" && return 1; }
}

is() { [[ $("${@:2}") == "$1" ]]; } # TEXT COMMAND…: nothing else

# ---- The stack

package() { # NAME TREE: makes NAME.zip and NAME.yaml, the function and the template of a source tree
	make -s -C "$2" build BOOTSTRAP="$work/bootstrap" ARCH="$([[ $emulated ]] && go env GOARCH || echo arm64)"
	zip -qj "$work/upload/$1.zip" "$work/bootstrap"
	sed "s|CodeUri: \.$|CodeUri: s3://$bucket/$1.zip|" "$2/template.yaml" >"$work/upload/$1.yaml"
}

stack_rests() { # waits until nothing is in progress, and prints the stack's status
	local status
	while status=$(text cloudformation describe-stacks --stack-name "$name" --query 'Stacks[0].StackStatus' 2>&1) &&
		[[ $status == *_IN_PROGRESS ]]; do sleep "$pause"; done
	echo "$status"
}

# A template with a transform may be deployed without a change set:
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateStack.html
deploy() { # PAGE QUESTION create|update TEMPLATE NAME=VALUE…: other parameters keep their defaults
	local pair parameters=() status=refused
	for pair in "TagKey=$name" "MetricsNamespace=$name" Services=CLOUDFRONT_ORIGIN_FACING Within=CLOUDFRONT \
		${IP_RANGES_URL:+"IpRangesUrl=$IP_RANGES_URL"} "${@:5}"; do
		parameters+=("ParameterKey=${pair%%=*},ParameterValue=${pair#*=}")
	done
	say "$3 the stack ($4): ${*:5}"
	if aws cloudformation "$3-stack" --stack-name "$name" --parameters "${parameters[@]}" >/dev/null \
		--template-url "https://$bucket.s3.$AWS_REGION.amazonaws.com/$4.yaml" \
		--capabilities CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND; then
		status=$(stack_rests)
		text cloudformation describe-stack-events --stack-name "$name" --max-items 20 --query "StackEvents[?
			ResourceStatusReason!=null && (LogicalResourceId=='SyncAtDeploy' || contains(ResourceStatus,'FAILED'))
			].[LogicalResourceId,ResourceStatusReason]" | sed '/^None$/d; s/^/          /' | cut -c1-300
	fi
	if [[ $status == "$(tr '[:lower:]' '[:upper:]' <<<"$3")_COMPLETE" ]]; then answer yes "$1" "$2"; else
		answer no "$1" "$2" "$status"
		return 1
	fi
}

identities() { # of what has a state or an identity that others know
	text cloudformation describe-stack-resources --stack-name "$name" --query "sort(StackResources[?LogicalResourceId && contains(
		'SyncFunction SyncRole SyncLogGroup FailedEvents Changes Announcement', LogicalResourceId)].PhysicalResourceId)"
}

resource() {
	text cloudformation describe-stack-resources --stack-name "$name" \
		--query "StackResources[?LogicalResourceId=='$1'].PhysicalResourceId"
}

output() { text cloudformation describe-stacks --stack-name "$name" --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"; }

invoke() { # EVENT: prints what the function answers
	echo "$1" >"$work/event.json"
	aws lambda invoke --function-name "$function" --payload "fileb://$work/event.json" --cli-read-timeout 0 "$work/answer.json" >/dev/null
	cat "$work/answer.json"
}

# ---- Groups and lists

tagged() { # RESOURCE-TYPE [VALUE]: tags for something new, among them the one that the function looks for
	echo "ResourceType=$1,Tags=[{Key=Name,Value=$name},{Key=rehearsal,Value=$name}${2:+,{Key=$name,Value=$2\}}]"
}

in_sync() { # cfsg finds nothing to add or revoke
	has '"changes": false' "$cfsg" plan --stack "$name" --tag-key "$name" --region "$AWS_REGION" -o json >"$work/plan.json" ||
		{ echo "cfsg plan has changes to make" && return 1; }
}

sync() { has '"errors":[]' invoke '{}' && in_sync; }

rules() {
	text ec2 describe-security-group-rules --filters "Name=group-id,Values=$1" \
		--query 'SecurityGroupRules[?!IsEgress].SecurityGroupRuleId'
}
entries() { text ec2 get-managed-prefix-list-entries --prefix-list-id "$1" --query 'Entries[].Cidr'; }

break_rule() {
	local ids && ids=$(rules "$group")
	[[ $ids ]] || return 1
	aws ec2 revoke-security-group-ingress --group-id "$group" --security-group-rule-ids "${ids%%$'\t'*}" >/dev/null
	say "took a rule out of $group"
}

list_is() { # STATE AND SIZE
	has "$1" text ec2 describe-managed-prefix-lists --prefix-list-ids "$list" --query 'PrefixLists[0].[State,MaxEntries]'
}

# ---- Teardown

each() { # SERVICE DESCRIBE FILTER QUERY COMMAND…: runs the command with each ID found
	local id ids
	# shellcheck disable=SC2086 # a filter is two words
	ids=$(text "$1" "$2" $3 --query "$4") || return 1
	for id in $ids; do
		[[ $id == None ]] || aws "${@:5}" "$id" >/dev/null || return 1
	done
}

remove() {
	local status pid pids tries=0 ours="--filters Name=tag:rehearsal,Values=$name" failed=0
	# A stack that is being updated cannot be deleted before that is over.
	while status=$(stack_rests) && [[ $status != *"does not exist"* ]]; do
		{ [[ $status =~ ^[A-Z_]+$ ]] && ((tries++ < 3)); } || { say "the stack: $status" && return 1; }
		aws cloudformation delete-stack --stack-name "$name" || return 1
		sleep "$pause"
	done
	{
		each ec2 describe-network-interfaces "$ours" 'NetworkInterfaces[].NetworkInterfaceId' ec2 delete-network-interface --network-interface-id &&
			each ec2 describe-security-groups "$ours" 'SecurityGroups[].GroupId' ec2 delete-security-group --group-id &&
			each ec2 describe-subnets "$ours" 'Subnets[].SubnetId' ec2 delete-subnet --subnet-id &&
			each ec2 describe-vpcs "$ours" 'Vpcs[].VpcId' ec2 delete-vpc --vpc-id
	} & pids=($!)
	each ec2 describe-managed-prefix-lists "--filters Name=prefix-list-name,Values=$name" 'PrefixLists[].PrefixListId' \
		ec2 delete-managed-prefix-list --prefix-list-id & pids+=($!)
	each logs describe-log-groups "--log-group-name-prefix $name-" 'logGroups[].logGroupName' logs delete-log-group --log-group-name & pids+=($!)
	each sqs list-queues "--queue-name-prefix $name-FailedEvents-" 'QueueUrls[]' sqs delete-queue --queue-url & pids+=($!)
	each sns list-topics "--region us-east-1" "Topics[?ends_with(TopicArn,':$name')].TopicArn" sns delete-topic --region us-east-1 --topic-arn & pids+=($!)
	each s3api list-buckets "" "Buckets[?Name=='$bucket'].join('',['s3://',Name])" s3 rb --force & pids+=($!)
	for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
	return "$failed"
}

finish() {
	local code=$?
	trap '' INT TERM # whoever presses Ctrl-C again would leave things behind
	set +e
	say "removing what was made, which takes some minutes; Ctrl-C does not stop it"
	if remove || { sleep "$pause" && remove; }; then say "nothing of $name is left"; else
		say "something is left; later: make rehearse CLEAN=$name"
		code=1
	fi
	rm -rf "$work"
	((${#answers[@]} == 0)) || printf '%s\n' "" "Answers from account $account, $AWS_REGION${emulated:+ (an emulation)}:" "${answers[@]}"
	((code == 0)) || echo "The rehearsal ended early: what is missing above was not reached."
	((code || noes == 0)) || code=1
	exit "$code"
}

# ---- Before anything is made

[[ $name =~ ^cfsg-rehearsal-[0-9a-f]{8}$ ]] || fail "CLEAN: $name is not the name of a rehearsal"
for program in aws go make git zip curl openssl; do
	command -v "$program" >/dev/null || fail "$program is not installed"
done
AWS_REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[[ $AWS_REGION ]] || fail "no region: set AWS_REGION"
export AWS_REGION AWS_DEFAULT_REGION=$AWS_REGION
account=$(text sts get-caller-identity --query Account) || fail "no AWS account: aws sts get-caller-identity fails"
bucket=$name-$account
echo "Account $account, region $AWS_REGION${emulated:+, emulated at $emulated}."
if [[ ${YES:-} != 1 ]]; then
	echo "This $([[ ${CLEAN:-} ]] || echo "makes, and then ")removes $name: a stack, a bucket, a topic, a prefix list, a VPC."
	read -rp "Type yes to continue: " reply || reply=
	[[ $reply == yes ]] || fail "nothing was made or removed"
fi
work=$(mktemp -d) && mkdir "$work/upload" "$work/tree"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
[[ -z ${CLEAN:-} ]] || exit 0

# ---- A place to work, with two groups at a network interface

aws s3 mb "s3://$bucket" >/dev/null
vpc=$(text ec2 create-vpc --cidr-block 10.99.0.0/24 --tag-specifications "$(tagged vpc)" --query Vpc.VpcId)
subnet=$(text ec2 create-subnet --vpc-id "$vpc" --cidr-block 10.99.0.0/28 --tag-specifications "$(tagged subnet)" \
	--query Subnet.SubnetId)
new_group() {
	text ec2 create-security-group --vpc-id "$vpc" --group-name "$name-$1" --description "$name" --query GroupId \
		--tag-specifications "$(tagged security-group "${2:-}")"
}
group=$(new_group web 443)
later=$(new_group later)
aws ec2 create-network-interface --subnet-id "$subnet" --groups "$group" "$later" >/dev/null \
	--tag-specifications "$(tagged network-interface)"

# ---- Deploy and update

old=${OLD:-$(git describe --tags --abbrev=0 2>/dev/null || git log -1 --format=%h~ -- template.yaml 2>/dev/null)} || old=
package new .
if [[ $old ]] && git archive "$old" 2>/dev/null | tar x -C "$work/tree" 2>/dev/null; then package old "$work/tree"; else old=; fi
aws s3 cp --recursive --only-show-errors "$work/upload" "s3://$bucket"
trail=$(text cloudtrail describe-trails --query 'trailList[0].Name')
watch=WatchChanges=$([[ $trail == None ]] && echo false || echo true)
if [[ $old ]]; then
	deploy reference "an older template deploys ($old)" create old
	before=$(identities)
	deploy README,CHANGELOG "this template deploys, as an update of the older one" update new "$watch"
	shows 20 reference "the update replaces neither function, role, log, queues nor subscription" is "$before" identities
else
	deploy README,CHANGELOG "this template deploys" create new "$watch"
	answer "not shown here" reference "an update from an older template" "git has none here"
fi
function=$(output FunctionName)
shows 30 README "the deployment's sync fills a tagged group" in_sync
shows 20 reference "a dry run finds nothing left to do" has '"changed":false' invoke '{"dryRun":true}'
if [[ ! $emulated ]]; then # it fails three times, a minute or two apart: see below
	echo '"nonsense"' >"$work/event.json"
	aws lambda invoke --function-name "$function" --invocation-type Event --payload "fileb://$work/event.json" "$work/answer.json" >/dev/null
fi

# ---- Tag, break, heal

aws ec2 create-tags --resources "$later" --tags "Key=$name,Value=443"
on_aws 300 reference "a changed tag of a security group starts a run" in_sync
shows 60 README "a run fills a group that was tagged later" sync
break_rule
shows 30 reference "cfsg notices a rule that was taken out" eval '! in_sync'
shows 60 reference "a run puts the rule back" sync
if [[ $trail == None ]]; then
	answer "not shown here" reference "a change by somebody else starts a run (WatchChanges)" "there is no trail"
else
	break_rule
	on_aws 900 reference "a change by somebody else starts a run (WatchChanges)" in_sync
fi

# ---- Fill a list, and resize it

list=$(text ec2 create-managed-prefix-list --prefix-list-name "$name" --address-family IPv4 --max-entries 2 \
	--tag-specifications "$(tagged prefix-list ranges)" --query PrefixList.PrefixListId)
resized() { # SIZE: the list has it; EC2 refuses to resize a list that it is still changing
	list_is "-complete	$1" || { aws ec2 modify-managed-prefix-list --prefix-list-id "$list" --max-entries "$1" && return 1; }
}
shows 60 prefix-lists "a run names the command that enlarges a list that is too small" has modify-managed-prefix-list invoke '{}'
shows 60 prefix-lists "a list that is too small can be enlarged" resized 25
shows 60 prefix-lists "a run fills the list" sync
shows 60 prefix-lists "a filled list can be enlarged" resized 30
shows 60 prefix-lists "and is still in sync" sync

# ---- Schedule and announcement. AWS announces new ranges when it has some, so a topic of our own stands in for its.

on_aws 20 README "SNS accepts the subscription to AWS's topic in us-east-1" has "$function" \
	text sns list-subscriptions --region us-east-1 --query "Subscriptions[?ends_with(TopicArn,':AmazonIpSpaceChanged')].Endpoint"
topic=$(text sns create-topic --region us-east-1 --name "$name" --query TopicArn)
deploy reference "settings can be updated" update new "TopicArn=$topic" "ScheduleExpression=rate(1 minute)" OnDelete=withdraw
break_rule
on_aws 240 reference "the schedule starts a run" in_sync
break_rule
curl -fsS ${SSL_CERT_FILE:+--cacert "$SSL_CERT_FILE"} -o "$work/ranges.json" \
	"${IP_RANGES_URL:-https://ip-ranges.amazonaws.com/ip-ranges.json}"
field() { grep -m1 -o "\"$1\": *\"[^\"]*\"" "$work/ranges.json" | cut -d'"' -f4; }
md5=$(openssl dgst -md5 -r "$work/ranges.json" | cut -c1-32)
aws sns publish --region us-east-1 --topic-arn "$topic" >/dev/null --message "{\"create-time\":\"$(field createDate)\",
	\"synctoken\":\"$(field syncToken)\",\"md5\":\"$md5\",\"url\":\"https://ip-ranges.amazonaws.com/ip-ranges.json\"}"
shows 35 reference "an announcement from us-east-1 starts a run" in_sync

# ---- What else the pages say

reports() {
	text logs filter-log-events --log-group-name "$log" --filter-pattern '{ $.type = "platform.report" }' \
		--query 'events[].message' | grep -Eo '"(durationMs|maxMemoryUsedMB)":[0-9.]+'
}
[[ $emulated ]] || queue=$(resource FailedEvents) alarm=$(resource RunFailedAlarm) log=$(output LogGroupName)
on_aws 300 reference "an event that failed three times is kept in the queue" has requestPayload \
	text sqs receive-message --queue-url "${queue:-}" --query 'Messages[].Body'
on_aws 600 reference "a failed run raises its alarm" has "to ALARM" \
	text cloudwatch describe-alarm-history --alarm-name "${alarm:-}" --query 'AlarmHistoryItems[].HistorySummary'
on_aws 300 reference "metrics arrive" has .0 text cloudwatch get-metric-statistics --namespace "$name" --statistics Sum \
	--metric-name RunSucceeded --dimensions "Name=FunctionName,Value=$function" --period 3600 --query 'Datapoints[].Sum' \
	--start-time "$(date -u +%Y-%m-01T00:00:00Z)" --end-time "$(date -u +%Y-%m-%dT23:59:59Z)"
on_aws 20 reference "the dashboard is there" has RulesAdded text cloudwatch get-dashboard --dashboard-name "$name-$AWS_REGION"
on_aws 120 reference "the log says how long runs take (What it costs)" reports
[[ $emulated ]] || xargs <"$work/out"
answer "not shown here" organization "other accounts" "it takes several"
answer "not shown here" terraform "the Terraform module" "apply the example there"

# ---- Delete

say "delete the stack, with OnDelete=withdraw"
aws cloudformation delete-stack --stack-name "$name"
shows 900 reference "the stack can be deleted" has "does not exist" stack_rests
shows 20 reference "its rules are withdrawn" is "" rules "$group"
shows 20 reference "so are the entries of its lists" is "" entries "$list"
shows 20 reference "its log group stays" has "$name-SyncLogGroup-" \
	text logs describe-log-groups --log-group-name-prefix "$name-" --query 'logGroups[].logGroupName'
shows 20 reference "so does its queue of failed events" has "$name-FailedEvents-" text sqs list-queues --queue-name-prefix "$name-"
