package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"cloudfront-sg-sync/internal/config"
	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/secgroup"
)

// rangeFlags say which ranges a command works on. Settings that nobody passes come from the deployed function of
// --stack, or from the environment variables that the function has.
type rangeFlags struct {
	IPRanges string   `name:"ip-ranges" placeholder:"SRC" predictor:"file" help:"The ip-ranges.json: a URL, a file, or - for stdin."`
	Service  []string `placeholder:"NAME" predictor:"service" help:"A service of ip-ranges.json (default CLOUDFRONT)."`
	Within   []string `placeholder:"NAME" predictor:"service" help:"A service whose ranges may be taken in, so that fewer rules are needed."`
	Family   []string `placeholder:"FAMILY" predictor:"family" help:"ipv4 or ipv6 (default both)."`
	Stack    string   `placeholder:"NAME" help:"The stack whose function's settings are used."`
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
	give(values, "SERVICES", "--service", strings.Fields(strings.ToUpper(strings.Join(f.Service, " ")))...)
	if len(f.Service) > 0 {
		values["WITHIN"] = given{} // one in the environment goes with the services there
	}
	give(values, "WITHIN", "--within", strings.Fields(strings.ToUpper(strings.Join(f.Within, " ")))...)
	give(values, "IP_FAMILIES", "--family", strings.Fields(strings.ToLower(strings.Join(f.Family, " ")))...)
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

// settings are the settings of a configuration, with where they come from.
func (f rangeFlags) settings(c config.Config) document.Settings {
	return document.Settings{
		Services: c.Selection.Services, Within: append([]string{}, c.Selection.Within...), From: f.source(), Others: []document.OtherSettings{},
	}
}

// settle takes the settings of the rules if nobody names any and all rules agree, and compares both.
func settle(c *config.Config, s *document.Settings, made []engine.Made) {
	if s.From == document.FromDefault && len(made) == 1 {
		s.From, s.Services, s.Within = document.FromRules, made[0].Services, append([]string{}, made[0].Within...)
		c.Selection.Services, c.Selection.Within = s.Services, s.Within
	}
	s.Compare(made)
}

// give sets a variable to the value of a flag, if the flag was given.
func give(values map[string]given, variable, flag string, items ...string) {
	if value := strings.Join(items, " "); value != "" {
		values[variable] = given{flag, value}
	}
}

// readConfig reads the function's configuration from the flags, and every other variable with lookup.
func readConfig(flags map[string]given, lookup func(variable string) (place, value string)) (config.Config, error) {
	return config.Read(func(variable string) (string, string) {
		if g, ok := flags[variable]; ok {
			return g.flag, g.value
		}
		return lookup(variable)
	})
}

// load reads the configuration and the ranges that it asks for.
func (f rangeFlags) load(ctx context.Context, t terminal) (c config.Config, r ipRanges, err error) {
	if c, err = (placeFlags{rangeFlags: f}).readConfig(ctx, t, f.given()); err != nil {
		return c, r, err
	}
	defer t.progress("reading the ranges …")()
	r, err = f.read(ctx, t, c)
	return c, r, err
}

// read reads the ranges that a configuration asks for.
func (f rangeFlags) read(ctx context.Context, t terminal, c config.Config) (ipRanges, error) {
	r, err := readIPRanges(ctx, cmp.Or(f.IPRanges, c.URL), c.Selection, t.in)
	if err != nil {
		err = fmt.Errorf("read the ranges: %w", err)
	}
	return r, err
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
