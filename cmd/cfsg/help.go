package main

import (
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

// helpOf returns the help of a command, or of cfsg for an empty name, or nothing if there is no such command.
func helpOf(command string) string {
	if command == "" {
		command = "cfsg"
	}
	text, err := helpTexts.ReadFile("help/" + command + ".txt")
	if err != nil {
		return ""
	}
	return string(text)
}

// fitted returns a help text as it fits the terminal that out is.
func fitted(text string, out io.Writer) string {
	if columns := page.Columns(out); columns > 0 {
		return page.Reflow(text, columns)
	}
	return text
}

// printHelp prints the help of the chosen command.
func printHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	command := ""
	if node := ctx.Selected(); node != nil {
		command = node.Name
	}
	_, err := fmt.Fprint(ctx.Stdout, fitted(helpOf(command), ctx.Stdout))
	return err
}
