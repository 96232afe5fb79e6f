package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cloudfront-sg-sync/internal/hint"

	"github.com/alecthomas/kong"
)

// phrases turn messages of the parser into those of a person. Other messages are shown as they are.
var phrases = []struct {
	parser string // a pattern, compiled where it is needed
	plain  func(m []string) error
}{
	{`^(-\S+): (?:expected \w+ value but got "EOL"|missing value).*$`, func(m []string) error {
		return fmt.Errorf("%s needs a value", m[1])
	}},
	{`^(-\S+) must be one of (\S+) but got "(.*)"$`, func(m []string) error {
		return fmt.Errorf("%s is %s, not %q", m[1], oneOf(m[2]), m[3])
	}},
	{`^\[?<\w+>\]? must be one of (\S+) but got "(.*)"$`, func(m []string) error {
		return hint.New(fmt.Sprintf("%q is not known", m[2]), "use "+oneOf(m[1]))
	}},
	{`^(-\S+): bool value must be .* but got "(.*)"$`, func(m []string) error {
		return fmt.Errorf("%s is true or false, not %q; alone it is true", m[1], m[2])
	}},
	{`^(-\S+): expected a valid \d+ bit int but got "(.*)"$`, func(m []string) error {
		return fmt.Errorf("%s: %q is not a whole number", m[1], m[2])
	}},
	{`^expected "(.*)"$`, func(m []string) error {
		return fmt.Errorf("missing argument: %s", strings.ToUpper(strings.NewReplacer("<", "", ">", "").Replace(m[1])))
	}},
	{`^unknown flag (-n|--dry-?run)(?:,.*)?$`, func(m []string) error {
		return hint.New("unknown flag "+m[1], "cfsg plan shows what apply would do, and cfsg setup has --dry-run")
	}},
	{`^(-\S+): expected \w+ value but got "(-.*)" \(.*$`, func(m []string) error {
		return hint.New(fmt.Sprintf("%s is not %s", m[1], m[2]), "give it a value that does not begin with -")
	}},
	{`^unknown flag (--\S+?), did you mean "(--\S+)"\?$`, func(m []string) error {
		return hint.New("unknown flag "+m[1], "did you mean "+m[2]+"?")
	}},
	{`^unknown flag (-\S+?)(?:,.*)?$`, func(m []string) error { return fmt.Errorf("unknown flag %s", m[1]) }},
	{`^unexpected argument (\S+?)(?:,.*)?$`, func(m []string) error {
		return fmt.Errorf("unexpected argument %q", m[1])
	}},
}

// mistyped explains a typing mistake, and says which help to read.
func mistyped(err error, args []string, model *kong.Application) error {
	command := ""
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context.Selected() != nil {
		command = parse.Context.Selected().Name
	}
	for _, p := range phrases {
		if m := regexp.MustCompile(p.parser).FindStringSubmatch(err.Error()); m != nil {
			err = p.plain(m)
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
	err = fmt.Errorf("there is no command %q", word)
	if guess := nearest(word, names); guess != "" {
		err = hint.With(err, fmt.Sprintf("did you mean %s?", guess))
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
		if d := distance(word, name); d > 0 && d < least {
			found, least = name, d
		}
	}
	return found
}

// distance returns how many letters have to be inserted, deleted or replaced to make one word the other: the
// Levenshtein distance, by the algorithm of Wagner and Fischer with one row of its table at a time.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
