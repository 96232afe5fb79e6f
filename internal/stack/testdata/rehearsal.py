"""moto_server, and what a stack needs of AWS that moto lacks. `rehearsal.py PORT FOLDER`; FOLDER has:

function.zip  the function, whose bootstrap runs behind a Runtime API with what the stack gave it and its role's credentials
cert.pem      the certificate that the function trusts, of the feed
log.jsonl     is written: a line for each invocation, each answer of a custom resource, and each call of a function
              with the statements that allow it
"""
import http.server, io, json, os, re, subprocess, sys, tempfile, threading, time, uuid, zipfile

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
URL = f"http://127.0.0.1:{PORT}"
os.environ["MOTO_PORT"] = str(PORT)

import moto.awslambda.models as awslambda
import moto.cloudformation.parsing as parsing
import moto.cloudformation.responses as cloudformation
import moto.core.responses as responses
import moto.server
import moto.sqs.models as sqs
from moto.core.common_models import CloudFormationModel
from moto.ec2 import ec2_backends
from moto.ec2.responses.vpcs import VPCs
from moto.events.models import EventPattern
from moto.iam import iam_backends
from moto.s3 import s3_backends
from moto.sns import sns_backends
from moto.sts import sts_backends

lock = threading.Lock()
http.server.ThreadingHTTPServer.handle_error = lambda *_: None  # a function that is stopped leaves its connections

def log(kind, **members):
    with lock, open(os.path.join(FOLDER, "log.jsonl"), "a") as file:
        file.write(json.dumps({"kind": kind, **members}) + "\n")

# ---- Lambda: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

class Runtime(http.server.BaseHTTPRequestHandler):
    """Hands out the one event of its server, and keeps what becomes of it."""

    protocol_version = "HTTP/1.1"

    log_message = lambda *_: None

    def reply(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.server.handed.is_set():
            self.server.done.wait(60)  # there is no second event
            self.close_connection = True
            return
        self.server.handed.set()
        self.reply(200, json.dumps(self.server.event).encode(), [
            ("Lambda-Runtime-Aws-Request-Id", str(uuid.uuid4())),
            ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + 900) * 1000))),
            ("Lambda-Runtime-Invoked-Function-Arn", self.server.arn),
        ])

    def do_POST(self):
        self.server.result = body_of(self).decode()
        self.server.failed = self.path.endswith("/error")
        self.reply(202)
        self.server.done.set()

def body_of(request):
    if request.headers.get("Transfer-Encoding") != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline().strip() or b"0", 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body

def credentials(role):
    """Returns credentials of a role, as Lambda has them from STS."""
    assumed = sts_backends[role.split(":")[4]]["aws"].assume_role(
        region_name="us-east-1", role_session_name="function", role_arn=role, policy=None, duration=3600, external_id=None)
    return {"AWS_ACCESS_KEY_ID": assumed.access_key_id, "AWS_SECRET_ACCESS_KEY": assumed.secret_access_key, "AWS_SESSION_TOKEN": assumed.session_token}

def invoke(function, event=None):
    """Runs bootstrap for one event, in an environment of nothing else than what Lambda and the stack give it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    server.event, server.arn, server.result, server.failed = event or {}, function.function_arn, "", True
    server.handed, server.done = threading.Event(), threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        zipfile.ZipFile(io.BytesIO(function.code_bytes)).extractall(folder)
        bootstrap = os.path.join(folder, function.handler)
        os.chmod(bootstrap, 0o755)
        environment = {
            **{name: str(value) for name, value in function.environment_vars.items()},
            **credentials(function.role),
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % server.server_address[1], "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_REGION": function.region, "TZ": ":UTC",
            "AWS_ENDPOINT_URL": URL, "SSL_CERT_FILE": os.path.join(FOLDER, "cert.pem"),
        }
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen([bootstrap], env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
            while not server.done.wait(0.05) and process.poll() is None:
                pass
            process.kill(), process.wait(), server.shutdown(), output.seek(0)
            text = output.read().decode()
    log("invoke", event=event, failed=server.failed, answer=server.result, log=text)
    return server.result, server.failed, text

awslambda.LambdaFunction._invoke_lambda = invoke
make_function, configuration = awslambda.LambdaFunction.__init__, awslambda.LambdaFunction.get_configuration

def make_with_logging(self, account_id, spec, *arguments, **named):
    make_function(self, account_id, spec, *arguments, **named)
    self.logging = spec.get("LoggingConfig")

# moto forgets LoggingConfig, which Terraform would set again at each apply.
awslambda.LambdaFunction.__init__ = make_with_logging
awslambda.LambdaFunction.get_configuration = lambda self, *arguments, **named: {
    **configuration(self, *arguments, **named), **({"LoggingConfig": self.logging} if self.logging else {})}

def send_sns_message(self, function_name, message, subject=None, qualifier=None):
    """moto's own has the topic arn:aws:sns:EXAMPLE."""
    function = self.get_function(function_name)
    topic = [s.topic.arn for regions in list(sns_backends.values()) for backend in list(regions.values())
             for s in backend.subscriptions.values() if s.endpoint == function.function_arn][-1]
    record = {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "TopicArn": topic, "Message": message, "Subject": subject}}
    invoke(function, {"Records": [record]})

awslambda.LambdaBackend.send_sns_message = send_sns_message

# ---- CloudFormation

class Answers(http.server.BaseHTTPRequestHandler):
    """Takes what a custom resource answers, by the request's ID. Each answer is taken once."""

    given = {}

    log_message = lambda *_: None

    def do_PUT(self):
        answer = json.loads(body_of(self))
        Answers.given[answer["RequestId"]] = answer
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

answers = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
threading.Thread(target=answers.serve_forever, daemon=True).start()

MODULE = "moto.cloudformation.rehearsal"  # moto takes models for its own only

class Resource(CloudFormationModel):
    """A type that moto's CloudFormation does not know. It does what make and remove do; without them it is only noted."""

    __module__ = MODULE
    kind = "?"
    make = remove = staticmethod(lambda *_: None)

    def __init__(self, name, properties):
        self.name, self.properties = name, properties

    physical_resource_id = property(lambda self: self.name)
    cloudformation_name_type = staticmethod(lambda: None)
    cloudformation_type = classmethod(lambda cls: cls.kind)
    has_cfn_attr = classmethod(lambda cls, attribute: attribute == "Arn")

    get_cfn_attribute = lambda self, attribute: "arn:aws:example:" + self.name
    change = lambda self, old: None

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
        resource = cls(resource_name, cloudformation_json.get("Properties", {}))
        resource.account, resource.region, resource.stack = account_id, region_name, kwargs.get("StackId")
        resource.make()
        return resource

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, new_resource_name, cloudformation_json, account_id, region_name):
        old, original_resource.properties = original_resource.properties, cloudformation_json.get("Properties", {})
        original_resource.change(old)
        return original_resource

    def delete(self, account_id, region_name):
        self.remove()

class Subscription(Resource):
    __module__, kind = MODULE, "AWS::SNS::Subscription"

    def make(self):
        topic, region = self.properties["TopicArn"], self.properties.get("Region", self.region)
        assert topic.split(":")[3] == region, "the topic is of another region"
        subscription = sns_backends[topic.split(":")[4]][region].subscribe(topic, self.properties["Endpoint"], self.properties["Protocol"])
        subscription.account_id, self.name = self.account, subscription.arn

    def change(self, old):
        if old != self.properties:  # nothing of a subscription but its filter can be changed
            self.remove(), self.make()

    def remove(self):
        sns_backends[self.name.split(":")[4]][self.name.split(":")[3]].unsubscribe(self.name)

class Custom(Resource):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requesttypes.html"""

    __module__, kind = MODULE, "Custom::Sync"

    def request(self, kind, **members):
        event = {
            "RequestType": kind, "RequestId": str(uuid.uuid4()), "StackId": self.stack, "LogicalResourceId": "SyncAtDeploy",
            "ResponseURL": "http://127.0.0.1:%d/answer" % answers.server_address[1], "ResourceType": self.kind,
            "ServiceToken": self.properties["ServiceToken"], "ResourceProperties": self.properties, **members,
        }
        if kind != "Create":
            event["PhysicalResourceId"] = self.name
        invoke(awslambda.lambda_backends[self.account][self.region].get_function(event["ServiceToken"]), event)
        answer = Answers.given.pop(event["RequestId"])
        log("custom resource", request=kind, status=answer["Status"], reason=answer.get("Reason", ""))
        assert answer["Status"] == "SUCCESS", answer
        self.name = answer["PhysicalResourceId"]

    make = lambda self: self.request("Create")
    change = lambda self, old: self.request("Update", OldResourceProperties=old)
    remove = lambda self: self.request("Delete")

for kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard", "AWS::Lambda::EventInvokeConfig", "AWS::SQS::QueuePolicy", "AWS::Events::EventBusPolicy"):
    type(kind, (Resource,), {"kind": kind, "__module__": MODULE})
models = {cls.kind: cls for cls in Resource.__subclasses__()}
known = parsing.resource_class_from_type
parsing.resource_class_from_type = lambda kind: models.get(kind) or known(kind)

def delete_in_order(self):
    """Removes the last made first, as CloudFormation does by what depends on what; moto does it in any order."""
    for name in reversed([name for name in self._parsed_resources if name in self._resource_json_map]):
        description = self._resource_json_map[name]
        if self._parsed_resources[name] is not None and description.get("DeletionPolicy") != "Retain":
            self._delete_resource(self._parsed_resources[name], description)

def dependencies_first(names):
    done, open_ = [], []

    def visit(name):
        if name in names and name not in done and name not in open_:
            open_.append(name)
            text = json.dumps(names[name])
            for other in names:
                if re.search(r'"%s"|\$\{%s[.}]' % (other, other), text):
                    visit(other)
            done.append(name)

    for name in names:
        visit(name)
    return done

parsing.ResourceMap.delete = delete_in_order
parsing.ResourceMap._ResourceMap__get_resources_in_dependency_order = lambda self: dependencies_first(self._resource_json_map)
difference = parsing.ResourceMap.build_resource_diff

def difference_in_order(self, template, parameters=None):
    order = dependencies_first(template["Resources"])
    return {action: [n for n in order if n in names] or names for action, names in difference(self, template, parameters).items()}

parsing.ResourceMap.build_resource_diff = difference_in_order

from_s3 = cloudformation.get_stack_from_s3_url
TRANSFORM = os.path.join(os.path.dirname(__file__), "../../release/transform.py")

def without_sam(*arguments, **named):
    return subprocess.run([sys.executable, TRANSFORM], input=from_s3(*arguments, **named), text=True, stdout=subprocess.PIPE, check=True).stdout

cloudformation.get_stack_from_s3_url = without_sam

clean = parsing.clean_json

def clean_json(value, resources):
    """moto leaves null in a list for AWS::NoValue, where CloudFormation leaves nothing."""
    if isinstance(value, list):
        return [cleaned for item in value if (cleaned := clean_json(item, resources)) is not None]
    return clean(value, resources)

parsing.clean_json = clean_json

update = parsing.parse_and_update_resource

def update_by_condition(logical_id, description, resources, account_id, region_name):
    """moto changes a resource whatever its condition says, and forgets one that it cannot change."""
    before, condition = resources._parsed_resources.get(logical_id), description.get("Condition")
    if condition and not resources.lazy_condition_map[condition]:
        return before and resources._delete_resource(before, description)
    if before is None:
        return parsing.parse_and_create_resource(logical_id, description, resources, account_id, region_name)
    return update(logical_id, description, resources, account_id, region_name) or before

parsing.parse_and_update_resource = update_by_condition

make_queue = sqs.Queue.create_from_cloudformation_json.__func__

def queue(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs):
    """CloudFormation gives a FIFO queue a name that ends so. And moto hands a message to Lambda at once or never."""
    properties = cloudformation_json["Properties"]
    if properties.get("FifoQueue"):
        properties.pop("DelaySeconds")
        resource_name = resource_name[:75] + ".fifo"
    return make_queue(cls, resource_name, cloudformation_json, account_id, region_name, **kwargs)

sqs.Queue.create_from_cloudformation_json = classmethod(queue)

matches = EventPattern.matches_event
EventPattern.matches_event = lambda self, event: bool(self._pattern) and matches(self, event)  # a schedule has no pattern

# ---- EC2

change_list = VPCs.modify_managed_prefix_list

def modify_managed_prefix_list(self):
    """moto changes entries only, and takes the name away where none is given."""
    listed = self.ec2_backend.managed_prefix_lists[self._get_param("PrefixListId")]
    name, most = listed.prefix_list_name, int(self._get_param("MaxEntries") or listed.max_entries)
    result = change_list(self)
    listed.prefix_list_name, listed.max_entries = name, most
    return result

VPCs.modify_managed_prefix_list = modify_managed_prefix_list

# ---- IAM: what the role's policies say of each call

def many(value):
    return value if isinstance(value, list) else [value]

def like(pattern, text):
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), text or "") is not None

def holds(condition, context):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"""
    operators = {
        "Null": lambda have, want: (have is None) == (want[0] == "true"),
        "StringEquals": lambda have, want: have in want,
        "ArnEquals": lambda have, want: any(like(w, have) for w in want),
        "ArnLike": lambda have, want: any(like(w, have) for w in want),
    }
    return all(operators[op](context.get(key.lower()), many(want)) for op, keys in condition.items() for key, want in keys.items())

def matching(documents, action, resource, context):
    """Returns the statements that allow, and those that deny."""
    allowed, denied = [], []
    for document in documents:
        document = json.loads(document) if isinstance(document, str) else document
        for s in many(document["Statement"]):
            if any(like(a.lower(), action.lower()) for a in many(s["Action"])) and any(like(r, resource) for r in many(s.get("Resource", "*"))) \
                    and holds(s.get("Condition", {}), context):
                (allowed if s["Effect"] == "Allow" else denied).append(s["Sid"])
    return allowed, denied

def role_of(key):
    for account in list(sts_backends):
        for assumed in sts_backends[account]["aws"].assumed_roles:
            if assumed.access_key_id == key:
                return account, assumed.role_arn
    return None

def judge(request):
    """Returns why a call is refused, or nothing. Only calls with credentials of a role are judged."""
    who = role_of((request.headers.get("Authorization") or "").split("Credential=")[-1].split("/")[0])
    action = f"{request.service_name.replace('-', '')}:{request._get_action()}"
    if not who or action == "sts:GetCallerIdentity":  # which takes no permission
        return None
    account, role = who
    resource, context = "*", {"aws:requestedregion": request.region, "aws:principalarn": role}
    kind, target = ("security-group", request._get_param("GroupId")) if "SecurityGroup" in action else ("prefix-list", request._get_param("PrefixListId"))
    if action.startswith("ec2:") and not action.startswith("ec2:Describe"):
        resource = f"arn:aws:ec2:{request.region}:{account}:{kind}/{target}"
        for tag in ec2_backends[account][request.region].describe_tags(filters={"resource-id": [target]}):
            context["aws:resourcetag/" + tag["key"].lower()] = tag["value"]
    elif action == "sns:Publish":
        resource = request._get_param("TopicArn")
    elif action == "sts:AssumeRole":
        resource = request._get_param("RoleArn")
        context["sts:externalid"] = request._get_param("ExternalId")
    document = [r for r in iam_backends[account]["aws"].roles.values() if r.arn == role][0].policies.values()
    allowed, denied = matching(document, action, resource, context)
    trusted = action != "sts:AssumeRole" or trusts(resource, account, context)
    log("call", role=role, action=action, resource=resource, region=request.region, allowed=allowed, denied=denied, trusted=trusted)
    return None if allowed and not denied and trusted else f"{role} is not authorized to perform: {action} on resource: {resource}"

def trusts(role, account, context):
    for r in iam_backends[role.split(":")[4]]["aws"].roles.values():
        if r.arn == role:
            document = r.assume_role_policy_document
            document = json.loads(document) if isinstance(document, str) else document
            return any(s["Principal"].get("AWS") == f"arn:aws:iam::{account}:root" and holds(s.get("Condition", {}), context) for s in many(document["Statement"]))
    return False

answer = responses.BaseResponse.call_action

def call_action(self):
    refused = judge(self)
    if not refused:
        return answer(self)
    if self.service_name == "ec2":
        return 403, {}, f"<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>{refused}</Message></Error></Errors><RequestID>r</RequestID></Response>"
    return 403, {}, f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{refused}</Message></Error></ErrorResponse>"

responses.BaseResponse.call_action = call_action

sns_backends["806199016981"]["us-east-1"].create_topic("AmazonIpSpaceChanged")
if os.path.exists(os.path.join(FOLDER, "function.zip")):
    bucket = s3_backends["123456789012"]["aws"]
    bucket.create_bucket("code", "eu-west-1")
    bucket.put_object("code", "function.zip", open(os.path.join(FOLDER, "function.zip"), "rb").read())
moto.server.main(["-H", "127.0.0.1", "-p", str(PORT)])
