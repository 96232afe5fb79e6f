// Command cfsg is the operator's command of cloudfront-sg-sync.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/internal/version"

	"github.com/alecthomas/kong"
)

// Exit codes. Wrong usage is an error like any other, so that 2 means one thing, as with Terraform's
// -detailed-exitcode.
const (
	exitOK      = 0
	exitError   = 1
	exitChanges = 2 // with --detailed-exitcode: there is something to do

	// exitInterrupted is a shell's exit code for a program that SIGINT ended: 128 and its number. See
	// https://www.gnu.org/software/bash/manual/html_node/Exit-Status.html
	exitInterrupted = 130
)

// commands are cfsg's. Their help texts are in the folder help.
type commands struct {
	Ranges rangesCommand `cmd:"" help:"Print the ranges, and what they take."`
	Diff   diffCommand   `cmd:"" help:"Compare two published files."`
	Setup  setupCommand  `cmd:"" help:"Let CloudFront in at an origin, and nobody else."`
	Plan   planCommand   `cmd:"" help:"Show what a sync would do."`
	Apply  applyCommand  `cmd:"" help:"Do what a sync does."`
	Status statusCommand `cmd:"" help:"Show how the managed groups are."`
	Check  checkCommand  `cmd:"" help:"Show whether security groups let all of CloudFront in."`
	Export exportCommand `cmd:"" help:"Write the ranges for another firewall, or a server."`
	Follow followCommand `cmd:"" help:"Keep a file on this host equal to the published ranges."`
	Doctor doctorCommand `cmd:"" help:"Find out why CloudFront answers 504."`
	Sim    simCommand    `cmd:"" help:"Run an EC2 endpoint on this machine."`
	Demo   demoCommand   `cmd:"" help:"Watch the function work."`

	Completion completionCommand `cmd:"" help:"Print what a shell needs to complete cfsg."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run runs the command that the arguments name and returns the exit code.
func run(ctx context.Context, args []string, t terminal) int {
	var c commands
	exited := false
	parser, err := kong.New(&c,
		kong.Name("cfsg"),
		kong.Writers(t.out, t.err),
		kong.Help(printHelp),
		kong.Exit(func(int) { exited = true }), // after help and after completion
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		return fail(t, err)
	}
	if registerCompletion(parser); exited {
		return exitOK
	}
	if len(args) == 0 {
		fmt.Fprint(t.err, helpOf("", t.err))
		return exitError
	}
	switch args[0] {
	case "help":
		args = append(args[1:], "--help")
	case "--version":
		args[0] = "version"
	}
	chosen, err := parser.Parse(args)
	if exited {
		return exitOK
	}
	if err != nil {
		return fail(t, mistyped(err, args, parser.Model))
	}
	if err := emptyFlag(chosen); err != nil {
		return fail(t, seeHelp(err, chosen.Selected().Name))
	}
	switch err := chosen.Run(); {
	case err == nil:
		return exitOK
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.Is(err, errJudged):
		return exitError
	case ctx.Err() != nil:
		if errors.Is(err, context.Canceled) { // a call was given up; commands that take steps have errors of their own
			err = errInterrupted
		}
		fail(t, err)
		return exitInterrupted
	default:
		return fail(t, err)
	}
}

// emptyFlag refuses empty flags, as an unset variable of a shell makes them: an empty --group would mean all groups.
func emptyFlag(chosen *kong.Context) error {
	blank := func(v string) bool { return strings.TrimSpace(v) == "" }
	for _, flag := range chosen.Flags() {
		empty := false
		switch v := flag.Target.Interface().(type) {
		case string:
			empty = blank(v)
		case []string:
			empty = len(v) == 0 || slices.ContainsFunc(v, blank)
		}
		if flag.Set && empty {
			return hint.New(fmt.Sprintf("--%s is empty", flag.Name), "give it a value, or leave it out")
		}
	}
	return nil
}

// fail prints an error and returns the exit code of a failure.
func fail(t terminal, err error) int {
	printError(t, err)
	return exitError
}

// printError writes an error and its hints to stderr. On a terminal it fits the width; elsewhere a line is a line.
func printError(t terminal, err error) {
	w := page.New(t.err, false)
	for _, line := range hint.Lines(err) {
		w.Line("cfsg: ", line.Problem)
		for _, h := range line.Hints {
			w.Line("hint: ", h)
		}
	}
}

type versionCommand struct{}

// Run prints the release, or the commit as Go writes it into a build that is none: https://go.dev/doc/go1.24#go-command
func (versionCommand) Run(t terminal) error {
	module := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		module = info.Main.Version
	}
	_, err := fmt.Fprintf(t.out, "cfsg %s, %s %s/%s\n", cmp.Or(version.Release(), module, "(devel)"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
