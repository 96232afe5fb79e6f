package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed transform.py
var transform string

// writeTemplate writes template.yaml for CloudFormation without SAM.
func (r release) writeTemplate() error {
	source, err := os.ReadFile("template.yaml")
	if err != nil {
		return err
	}
	template, err := r.fromBucket(string(source))
	if err != nil {
		return err
	}
	python, err := findTranslator()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release: the CloudFormation template is left out:", err)
		return nil
	}
	cmd := exec.CommandContext(context.Background(), python, "-c", transform)
	cmd.Stdin, cmd.Stderr = strings.NewReader(template), os.Stderr
	plain, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("transform template.yaml: %w", err)
	}
	name := "cloudfront-sg-sync_" + r.version + ".template.json"
	return os.WriteFile(filepath.Join(r.folder, "files", name), plain, 0o644)
}

// findTranslator returns a Python that has SAM's translator, which comes with cfn-lint.
func findTranslator() (string, error) {
	for _, python := range []string{"build/python/bin/python", "python3"} {
		if exec.CommandContext(context.Background(), python, "-c", "import samtranslator").Run() == nil {
			return python, nil
		}
	}
	return "", errors.New("no Python here has SAM's translator: " +
		"python3 -m venv build/python && build/python/bin/pip install -r .ci/requirements.txt")
}

// building is the part of template.yaml by which SAM builds the function.
const building = "    # `make build-SyncFunction` compiles it.\n" +
	"    # https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html\n" +
	"    Metadata:\n      BuildMethod: makefile\n"

// fromBucket returns the template with parameters for the zip's bucket and for the architecture. The zip's name is no
// parameter: an updated stack keeps the values of its parameters, and would keep the code of the old release.
func (r release) fromBucket(template string) (string, error) {
	zip := "cloudfront-sg-sync_" + r.version + "_lambda_" // as .goreleaser.yaml has it
	for _, edit := range []struct{ old, new string }{
		{building, ""},
		{"      CodeUri: .\n", `      CodeUri: { Bucket: !Ref CodeBucket, Key: !Sub "${CodePrefix}` + zip + `${Architecture}.zip" }
`},
		{"      Architectures: [arm64]\n", "      Architectures: [!Ref Architecture]\n"},
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
    Description: >-
      Bucket that holds ` + zip + `ARCHITECTURE.zip, in the stack's region.
      Each account that deploys has to be able to read it.
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
	} {
		if n := strings.Count(template, edit.old); n != 1 {
			return "", fmt.Errorf("template.yaml has %d times, not once:\n%s", n, edit.old)
		}
		template = strings.Replace(template, edit.old, edit.new, 1)
	}
	return template, nil
}
