# What CloudFormation makes of a SAM template, by the same library: reads the one and writes the other.
# https://github.com/aws/serverless-application-model
import json
import os
import sys

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# SAM asks boto3 for a region, to know its partition. No resource of the template depends on either.
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
template = Translator({}, Parser()).translate(yaml_parse(sys.stdin.read()), {})
json.dump(template, sys.stdout, indent=1)
print()
