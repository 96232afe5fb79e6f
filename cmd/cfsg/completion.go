package main

import (
	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
	"github.com/posener/complete"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the lines with which a shell completes commands and flags.
func (c *completionCommand) Run(ctx *kong.Context) error {
	code := kongcompletion.Completion{Shell: c.Shell, Code: true}
	return code.Run(ctx)
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
