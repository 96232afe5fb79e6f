// Command cfsg is the operator's command of cloudfront-sg-sync.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitOK = iota
	exitError
	exitUsage
)

// commands are what cfsg can do. The help texts stand in the folder help.
type commands struct {
	Sim     simCommand     `cmd:"" help:"Run an EC2 endpoint on this machine."`
	Demo    demoCommand    `cmd:"" help:"Watch the function work."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// A terminal is where a command reads and writes.
type terminal struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], terminal{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// run runs the command that the arguments name and returns the exit code.
func run(ctx context.Context, args []string, t terminal) int {
	if len(args) == 0 {
		fmt.Fprint(t.err, helpOf(""))
		return exitUsage
	}
	var c commands
	helped := false
	parser, err := kong.New(&c,
		kong.Name("cfsg"),
		kong.Writers(t.out, t.err),
		kong.Help(printHelp),
		kong.Exit(func(int) { helped = true }), // kong exits itself only after help
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		return fail(t, exitError, err)
	}
	chosen, err := parser.Parse(args)
	if helped {
		return exitOK
	}
	if err != nil {
		return fail(t, exitUsage, fmt.Errorf("%w; see %s --help", err, commandOf(err)))
	}
	if err := chosen.Run(); err != nil {
		return fail(t, exitCodeOf(err), err)
	}
	return exitOK
}

func fail(t terminal, code int, err error) int {
	fmt.Fprintf(t.err, "cfsg: %v\n", err)
	return code
}

// commandOf returns cfsg and the command, if one was understood before the
// parser gave up.
func commandOf(err error) string {
	parse, ok := errors.AsType[*kong.ParseError](err)
	if !ok || parse.Context.Selected() == nil {
		return "cfsg"
	}
	return "cfsg " + parse.Context.Selected().Name
}
