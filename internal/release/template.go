package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

//go:embed transform.py
var transform string

// writeTemplates writes two versions of template.yaml: for the AWS Serverless Application Repository, and for
// CloudFormation without SAM.
func (r release) writeTemplates() error {
	source, err := os.ReadFile("template.yaml")
	if err != nil {
		return err
	}
	published, err := edited(string(source), r.published()...)
	if err != nil {
		return err
	}
	if err := r.write("cloudfront-sg-sync_"+r.version+".sam.yaml", published); err != nil {
		return err
	}
	fromBucket, err := edited(string(source), r.fromBucket()...)
	if err != nil {
		return err
	}
	python, err := findTranslator()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release: the plain CloudFormation template is left out:", err)
		return nil
	}
	cmd := exec.CommandContext(context.Background(), python, "-c", transform)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(fromBucket), os.Stderr
	plain, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("transform template.yaml: %w", err)
	}
	return r.write("cloudfront-sg-sync_"+r.version+".template.json", plain)
}

// findTranslator returns a Python that has SAM's translator, which comes with cfn-lint.
func findTranslator() (string, error) {
	for _, python := range []string{"build/python/bin/python", "python3"} {
		if exec.CommandContext(context.Background(), python, "-c", "import samtranslator").Run() == nil {
			return python, nil
		}
	}
	return "", errors.New("no Python here has SAM's translator: python3 -m venv build/python && build/python/bin/pip install -r .ci/requirements.txt")
}

// An edit replaces a text that template.yaml has exactly once.
type edit struct{ old, new string }

func edited(template string, edits ...edit) ([]byte, error) {
	for _, e := range edits {
		if n := strings.Count(template, e.old); n != 1 {
			return nil, fmt.Errorf("template.yaml has %d times, not once:\n%s", n, e.old)
		}
		template = strings.Replace(template, e.old, e.new, 1)
	}
	return []byte(template), nil
}

// codeFrom takes the function from a place instead of building it.
func codeFrom(uri string) []edit {
	return []edit{{"      CodeUri: .\n", "      CodeUri: " + uri + "\n"}, {"    # `make build-SyncFunction` compiles it.\n" +
		"    # https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html\n" +
		"    Metadata:\n      BuildMethod: makefile\n", ""}}
}

// published makes the template one for `sam package` and `sam publish`, to be put beside the zip. See
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/serverless-sam-template-publishing-applications-metadata-properties.html
func (r release) published() []edit {
	application := `
Metadata:
  AWS::ServerlessRepo::Application:
    Name: cloudfront-sg-sync
    Description: Keeps the inbound rules of tagged security groups equal to the IP ranges that AWS publishes for CloudFront.
    Author: cloudfront-sg-sync
    SpdxLicenseId: Apache-2.0
    LicenseUrl: LICENSE
    ReadmeUrl: README.md
    Labels: [cloudfront, security-groups, ip-ranges, lambda]
    SemanticVersion: ` + strings.TrimPrefix(r.version, "v") + "\n"
	// The project's address, if there is one.
	if repository := os.Getenv("REPOSITORY"); repository != "" {
		application += "    HomePageUrl: " + repository + "\n    SourceCodeUrl: " + repository + "/tree/" + r.version + "\n"
	}
	return append(codeFrom("./"+r.functionZip("arm64")), edit{"\nMetadata:\n", application})
}

// fromBucket gives the template parameters for the zip's bucket and for the architecture. The zip's name is no
// parameter: an updated stack keeps the values of its parameters, and would keep the code of the old release.
func (r release) fromBucket() []edit {
	code := codeFrom("{ Bucket: !Ref CodeBucket, Key: !Sub \"${CodePrefix}" + r.functionZip("${Architecture}") + "\" }")
	return append(code, []edit{
		{"    ParameterGroups:\n", `    ParameterGroups:
      - Label: { default: Where the function's code is }
        Parameters: [CodeBucket, CodePrefix, Architecture]
`},
		{"    ParameterLabels:\n", `    ParameterLabels:
      CodeBucket: { default: Bucket }
      CodePrefix: { default: Folder in the bucket }
      Architecture: { default: Architecture }
`},
		{"\nParameters:\n", `
Parameters:
  CodeBucket:
    Type: String
    AllowedPattern: ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$
    ConstraintDescription: the name of an S3 bucket
    Description: Bucket that holds ` + r.functionZip("ARCHITECTURE") + `, in the stack's region. Each account that deploys has to be able to read it.
  CodePrefix:
    Type: String
    Default: ""
    AllowedPattern: ^([A-Za-z0-9!_.*'()-]+/)*$
    ConstraintDescription: a folder such as releases/, with the slash at its end
    Description: Folder of the zip in that bucket. Empty for none.
  Architecture:
    Type: String
    Default: arm64
    AllowedValues: [arm64, x86_64]
    Description: What the function runs on. arm64 costs less; x86_64 is for regions and accounts that have no other.
`},
		{"\n      Architectures: [arm64]\n", "\n      Architectures: [!Ref Architecture]\n"},
	}...)
}
