package main

import (
	"cmp"
	"embed"
	"fmt"
	"io"

	"cloudfront-sg-sync/internal/page"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"
)

// helpTexts are written by hand, each to fit a screen: cfsg.txt, and one for each command.
//
//go:embed help
var helpTexts embed.FS

// helpOf returns the help of a command, or of cfsg for an empty name, as it fits the terminal that out is.
func helpOf(command string, out io.Writer) string {
	text, err := helpTexts.ReadFile("help/" + cmp.Or(command, "cfsg") + ".txt")
	if err != nil {
		panic(err) // each command has one
	}
	if columns := page.Columns(out); columns > 0 {
		return page.Reflow(string(text), columns)
	}
	return string(text)
}

// printHelp prints the help of the chosen command.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	command := ""
	if node := ctx.Selected(); node != nil {
		command = node.Name
	}
	_, err := fmt.Fprint(ctx.Stdout, helpOf(command, ctx.Stdout))
	return err
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the lines with which a shell completes commands and flags.
func (c *completionCommand) Run(ctx *kong.Context) error {
	return (&kongcompletion.Completion{Shell: c.Shell, Code: true}).Run(ctx)
}

// registerCompletion answers a shell that asks how to complete what is typed. The parser then exits.
func registerCompletion(parser *kong.Kong) {
	kongcompletion.Register(parser,
		kongcompletion.WithPredictor("file", complete.PredictFiles("*")),
		kongcompletion.WithPredictor("family", complete.PredictSet("ipv4", "ipv6")),
		kongcompletion.WithPredictor("format", complete.PredictSet(formatNames()...)),
		kongcompletion.WithPredictor("service", complete.PredictSet("CLOUDFRONT", "CLOUDFRONT_ORIGIN_FACING")),
	)
}
