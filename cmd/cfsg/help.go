package main

import (
	"cmp"
	"embed"
	"fmt"
	"io"

	"cloudfront-sg-sync/internal/page"

	"github.com/alecthomas/kong"
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
