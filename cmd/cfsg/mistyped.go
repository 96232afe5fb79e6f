package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"

	"github.com/agext/levenshtein"
	"github.com/alecthomas/kong"
)

// phrases turn messages of the parser into those of a person, and add a hint. Other messages are shown as they are.
var phrases = []struct{ parser, plain, hint string }{
	{`^(-\S+): (?:expected \w+ value but got "EOL"|missing value).*$`, "$1 needs a value", ""},
	{`^(-\S+) must be one of (.*) but got "(.*)"$`, `$1 is $2, not "$3"`, ""},
	{`^\[?\w+\]? must be one of (.*) but got "(.*)"$`, `"$2" is not known`, "use $1"},
	{`^(-\S+): bool value must be .* but got "(.*)"$`, `$1 is true or false, not "$2"; without a value it is true`, ""},
	{`^(-\S+): expected a valid \d+ bit int but got "(.*)"$`, `$1: "$2" is not a whole number`, ""},
	{`^expected "(.*)"$`, "missing argument: $1", ""},
	{
		`^unknown flag (-n|--dry-?run)(?:,.*)?$`, "unknown flag $1",
		"cfsg plan shows what apply would do, and cfsg setup has --dry-run",
	},
	{`^(-\S+): expected \w+ value but got "(-.*)" \(.*$`, "$1 is not $2", "give it a value that does not begin with -"},
	{`^unknown flag (--\S+?), did you mean "(--\S+)"\?$`, "unknown flag $1", "did you mean $2?"},
	{`^unknown flag (-\S+?)(?:,.*)?$`, "unknown flag $1", ""},
	{`^unexpected argument (\S+?)(?:,.*)?$`, `unexpected argument "$1"`, ""},
}

var (
	argument = regexp.MustCompile(`<\w+>`)
	choice   = regexp.MustCompile(`("\w+",)+"\w*"`)
)

// mistyped explains a typing mistake, and says which help to read.
func mistyped(err error, args []string, model *kong.Application) error {
	command := ""
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context.Selected() != nil {
		command = parse.Context.Selected().Name
	}
	text := argument.ReplaceAllStringFunc(err.Error(), func(name string) string {
		return strings.ToUpper(strings.Trim(name, "<>"))
	})
	text = choice.ReplaceAllStringFunc(text, oneOf)
	for _, p := range phrases {
		if parser := regexp.MustCompile(p.parser); parser.MatchString(text) {
			if err = errors.New(parser.ReplaceAllString(text, p.plain)); p.hint != "" {
				err = hint.With(err, parser.ReplaceAllString(text, p.hint))
			}
			break
		}
	}
	if command == "" {
		err = mistypedCommand(err, args[0], model)
	}
	return seeHelp(err, command)
}

// mistypedCommand explains a command line without a command.
func mistypedCommand(err error, word string, model *kong.Application) error {
	if strings.HasPrefix(word, "-") {
		return hint.With(err, "flags come after a command")
	}
	var names []string
	for _, node := range model.Children {
		names = append(names, node.Name)
	}
	if slices.Contains(names, word) {
		return err
	}
	return suggest(fmt.Errorf("there is no command %q", word), word, names)
}

// suggest adds the name that was meant, if one is like the word.
func suggest(err error, word string, names []string) error {
	if guess := nearest(word, names); guess != "" {
		err = hint.With(err, "did you mean "+guess+"?")
	}
	return err
}

// seeHelp adds the help to read.
func seeHelp(err error, command string) error {
	return hint.With(err, "see "+strings.TrimSpace("cfsg "+command)+" --help")
}

// oneOf writes a parser's list, such as "text","json", as words.
func oneOf(list string) string {
	words := strings.Split(strings.ReplaceAll(list, `"`, ""), ",")
	last := len(words) - 1
	if words[last] == "" {
		return strings.Join(words[:last], ", ") + ", or leave it out"
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// nearest returns the name that is most like a word, or nothing if none is.
func nearest(word string, names []string) string {
	found, least := "", len(word)/2+1 // farther than that is no likeness
	for _, name := range names {
		if d := levenshtein.Distance(word, name, nil); d > 0 && d < least {
			found, least = name, d
		}
	}
	return found
}
