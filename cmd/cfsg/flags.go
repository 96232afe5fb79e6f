package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/secgroup"
)

// rangeFlags say which ranges a command works on. Settings that nobody passes come from the deployed function of
// --stack, or from the environment variables that the function has.
type rangeFlags struct {
	IPRanges string `name:"ip-ranges" placeholder:"SRC" predictor:"file" help:"The ip-ranges.json: a URL, a file, or - for stdin."`
	selectionFlags
}

// selectionFlags say which ranges of a file are wanted.
type selectionFlags struct {
	Service []string `placeholder:"NAME" predictor:"service" help:"A service of ip-ranges.json (default CLOUDFRONT)."`
	Within  []string `placeholder:"NAME" predictor:"service" help:"A service whose ranges may be taken in, so that fewer rules are needed."`
	Family  []string `placeholder:"FAMILY" predictor:"family" help:"ipv4 or ipv6 (default both)."`
	Stack   string   `placeholder:"NAME" help:"The stack whose function's settings are used."`
}

// outputFlags say how a command writes its result.
type outputFlags struct {
	Output lower `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"text or json."`
}

// lower is a word in lower case, however it is typed.
type lower string

// UnmarshalText reads a word. The parser of flags calls it.
func (l *lower) UnmarshalText(text []byte) error { //nolint:unparam // encoding.TextUnmarshaler
	*l = lower(strings.ToLower(string(text)))
	return nil
}

func (f outputFlags) json() bool { return f.Output == "json" }

// A given value of one of the function's variables comes from a flag.
type given struct{ flag, value string }

func (f rangeFlags) given() map[string]given {
	values := map[string]given{}
	// The names are typed in any case.
	give(values, "SERVICES", "--service", strings.ToUpper(strings.Join(f.Service, " ")))
	if len(f.Service) > 0 {
		values["WITHIN"] = given{} // one in the environment goes with the services there
	}
	give(values, "WITHIN", "--within", strings.ToUpper(strings.Join(f.Within, " ")))
	give(values, "IP_FAMILIES", "--family", strings.ToLower(strings.Join(f.Family, " ")))
	switch {
	case isURL(f.IPRanges):
		give(values, "IP_RANGES_URL", "--ip-ranges", f.IPRanges)
	case f.IPRanges != "":
		values["IP_RANGES_URL"] = given{} // not used
	}
	return values
}

// source says where SERVICES and WITHIN come from before EC2 is asked.
func (f rangeFlags) source() document.Source {
	switch {
	case len(f.Service)+len(f.Within) > 0:
		return document.FromFlags
	case os.Getenv("SERVICES")+os.Getenv("WITHIN") != "":
		return document.FromEnvironment
	case f.Stack != "":
		return document.FromStack
	}
	return document.FromDefault
}

// give sets a variable to the value of a flag, if the flag was given.
func give(values map[string]given, variable, flag string, items ...string) {
	if value := strings.Join(items, " "); value != "" {
		values[variable] = given{flag, value}
	}
}

func isURL(src string) bool { return strings.Contains(src, "://") }

// parsePorts reads --port, which lists ports as a group's tag does: at least one, or none if the flag was not given.
func parsePorts(flag []string) ([]secgroup.PortRange, error) {
	if flag == nil {
		return nil, nil
	}
	list := strings.Join(flag, " ")
	ports, err := secgroup.ParsePorts(list)
	if err == nil && len(ports) == 0 {
		err = errors.New("name a port")
	}
	if err != nil {
		return nil, fmt.Errorf("--port=%s: %w", list, err)
	}
	return ports, nil
}

// https are the ports if none is named.
var https = []secgroup.PortRange{{From: 443, To: 443}}

// A quota is a number of rules per security group.
type quota int

// UnmarshalText reads a quota as AWS may grant it.
func (q *quota) UnmarshalText(text []byte) error {
	n, err := config.Number(string(text), 1, secgroup.MaxInterfaceRules)
	*q = quota(n)
	return err
}

// placeFlags say where a command works. Credentials, profile and region are found as the AWS CLI finds them.
type placeFlags struct {
	rangeFlags
	TagKey      string   `placeholder:"KEY" help:"The tag that marks the groups (default cloudfront-ingress)."`
	Region      []string `placeholder:"NAME" help:"A region (default: that of the profile, or AWS_REGION)."`
	RoleARN     []string `name:"role-arn" placeholder:"ARN" help:"A role of another account to assume, which is looked at as well."`
	Profile     string   `placeholder:"NAME" help:"The profile of the AWS CLI's configuration."`
	EndpointURL string   `name:"endpoint-url" placeholder:"URL" help:"The endpoint to talk to instead of AWS."`
}

func (f placeFlags) given() map[string]given {
	values := f.rangeFlags.given()
	give(values, "TAG_KEY", "--tag-key", f.TagKey)
	give(values, "REGIONS", "--region", f.Region...)
	give(values, "ROLE_ARNS", "--role-arn", f.RoleARN...)
	if len(f.RoleARN) > 0 {
		values["MEMBER_ACCOUNTS"] = given{flag: "--role-arn"} // the roles that are named are all there are
	}
	return values
}

// parse returns the name or ID that somebody typed as a name, an ARN or a URL. A region in it is the one to look in.
func (f *placeFlags) parse(text string) string {
	name, region := door.ParseName(text)
	if region != "" && len(f.Region) == 0 {
		f.Region = []string{region}
	}
	return name
}
