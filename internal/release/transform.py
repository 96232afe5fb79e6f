# What CloudFormation makes of a SAM template, by the same library: reads the one and writes the other.
# https://github.com/aws/serverless-application-model
import json
import os
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse


def write(value, indent=""):
    """Writes JSON with what is short on one line, since --template-body takes no more than 51,200 bytes."""
    text = json.dumps(value, separators=(",", ":"))
    if len(text) <= 300 or not isinstance(value, (dict, list)):
        return text
    inner = indent + " "
    if isinstance(value, dict):
        items = [json.dumps(key) + ":" + write(item, inner) for key, item in value.items()]
    else:
        items = [write(item, inner) for item in value]
    return text[0] + "\n" + inner + (",\n" + inner).join(items) + "\n" + indent + text[-1]


# SAM asks boto3 for a region, to know its partition. No resource of the template depends on either.
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
print(write(Translator({}, Parser()).translate(yaml_parse(sys.stdin.read()), {})))
