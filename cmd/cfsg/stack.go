package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/hint"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
)

// readConfig reads the configuration from the flags, and settings that no flag gives from the deployed function of
// --stack or, without one, from the environment. SERVICES and WITHIN in the environment go before those of a stack.
func (f placeFlags) readConfig(ctx context.Context, t terminal, flags map[string]given) (config.Config, error) {
	lookup := func(variable string) (string, string) { return variable, os.Getenv(variable) }
	if f.Stack != "" {
		variables, err := f.deployed(ctx)
		if err != nil {
			return config.Config{}, fmt.Errorf("read the settings of --stack %s: %w", f.Stack, err)
		}
		for _, variable := range []string{"SERVICES", "WITHIN"} { // WITHIN goes with the SERVICES beside it
			if value := os.Getenv(variable); f.source() == document.FromEnvironment && os.Getenv("SERVICES")+value != "" {
				flags[variable] = given{"the environment's " + variable, value}
			}
		}
		// The stack's settings were asked for: say where something else is used instead.
		for _, variable := range slices.Sorted(maps.Keys(flags)) {
			g, deployed := flags[variable], variables[variable]
			if g.flag != "" && deployed != "" && items(g.value) != items(deployed) {
				fmt.Fprintf(t.err, "cfsg: %s is used, not the stack's %s=%s\n", strings.TrimSpace(g.flag+" "+g.value), variable, deployed)
			}
		}
		lookup = func(variable string) (string, string) { return variable + " of stack " + f.Stack, variables[variable] }
	}
	return config.Read(func(variable string) (string, string) {
		if g, ok := flags[variable]; ok {
			return g.flag, g.value
		}
		return lookup(variable)
	})
}

// items writes a variable's list as others may have written it.
func items(list string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(list, ",", " ")), " ")
}

// deployed returns the environment variables of the function that a stack made. The stack names it in its output
// FunctionName. See
// https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html and
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConfiguration.html
func (f placeFlags) deployed(ctx context.Context) (map[string]string, error) {
	cfg, err := f.stackConfig(ctx)
	if err != nil {
		return nil, err
	}
	stacks, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &f.Stack})
	if err != nil {
		return nil, explainStack(err, "cloudformation:DescribeStacks", cfg.Region)
	}
	name := ""
	for _, stack := range stacks.Stacks {
		for _, output := range stack.Outputs {
			if aws.ToString(output.OutputKey) == "FunctionName" {
				name = aws.ToString(output.OutputValue)
			}
		}
	}
	if name == "" {
		return nil, errors.New("the stack has no output FunctionName: it is not a stack of cloudfront-sg-sync, or its deployment is not complete")
	}
	found, err := lambda.NewFromConfig(cfg).GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if err != nil {
		return nil, explainStack(err, "lambda:GetFunctionConfiguration", cfg.Region)
	}
	env := found.Environment
	switch {
	case env == nil || len(env.Variables) == 0 && env.Error == nil:
		return nil, fmt.Errorf("function %s has no environment variables: it is not the function of cloudfront-sg-sync", name)
	case env.Error != nil:
		return nil, fmt.Errorf("the environment of function %s cannot be read: %s", name, aws.ToString(env.Error.Message))
	}
	return env.Variables, nil
}

// stackConfig returns credentials, endpoint and the region that a stack is in: that of its ARN, or that of the profile,
// which need not be one whose groups are asked for with --region.
func (f placeFlags) stackConfig(ctx context.Context) (aws.Config, error) {
	id, _ := arn.Parse(f.Stack)
	cfg, err := f.awsConfig(ctx, id.Region)
	if errors.Is(err, errNoRegion) && len(f.Region) > 0 {
		return f.awsConfig(ctx, f.Region...)
	}
	return cfg, err
}

// explainStack adds a remedy to an error of CloudFormation or Lambda.
func explainStack(err error, permission, region string) error {
	api, ok := errors.AsType[smithy.APIError](err)
	switch {
	case !ok:
		return err
	case strings.HasPrefix(api.ErrorCode(), "AccessDenied"):
		return hint.With(err, "grant the permission "+permission)
	case api.ErrorCode() == "ValidationError" && strings.Contains(api.ErrorMessage(), "does not exist"):
		return hint.New("there is none in "+region, "check the name, and name its region with AWS_REGION or the stack by its ARN")
	}
	return err
}
