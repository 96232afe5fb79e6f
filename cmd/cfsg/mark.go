package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cloudfront-sg-sync/internal/document"
	"cloudfront-sg-sync/internal/page"
	"cloudfront-sg-sync/secgroup"

	"github.com/alecthomas/kong"
)

// errJudged is a failure that the judgement has explained already.
var errJudged = errors.New("the mark is ✗")

// failed is the error of a command whose judgement is why it fails. Its text has told that; JSON is for programs.
func (f outputFlags) failed(j document.Judgement) error {
	if f.json() {
		return errors.New(j.Cause)
	}
	return errJudged
}

// print writes a document: as JSON, or as its page, which ends with the judgement if the command judges.
func (f outputFlags) print(t terminal, doc any, write func(*page.Page)) error {
	if f.json() {
		return document.Write(t.out, doc)
	}
	w := page.New(t.out, colorful(t.out))
	write(w)
	if judged, ok := doc.(interface{ Judged() document.Judgement }); ok {
		writeJudgement(w, judged.Judged())
	}
	return w.Err()
}

// writeJudgement writes a mark and its cause, and the command to run next.
func writeJudgement(w *page.Page, j document.Judgement) {
	w.Line()
	w.Line(markOf(w, j.Mark), " ", j.Cause)
	if len(j.Next) > 0 {
		w.In(2).Command(shellWords(j.Next)...)
	}
}

// markOf returns the sign of a mark, in its colour.
func markOf(w *page.Page, m document.Mark) string {
	switch m {
	case document.OK:
		return w.Good("✓")
	case document.Attention:
		return w.Warn("!")
	}
	return w.Bad("✗")
}

// shellWords writes the words of a command as a shell reads them. A flag and its value are one, so that no line breaks
// between them.
func shellWords(command []string) []string {
	var quoted []string
	for i, word := range command {
		if i > 0 && strings.HasPrefix(command[i-1], "--") && !strings.HasPrefix(word, "--") {
			quoted[len(quoted)-1] += " " + shellQuoted(word)
			continue
		}
		quoted = append(quoted, shellQuoted(word))
	}
	return quoted
}

// mannersOf are the flags that say how a run is done, not what it is about, and those with secrets. The next command
// does not inherit them.
var mannersOf = []string{"header", "help", "output", "yes", "dry-run", "verbose", "detailed-exitcode"}

// next returns what names the command to run next: its name, every flag that this run was given and that the command
// has as well, and more words. A flag among these is used instead of the one given, or with an empty value none;
// --service takes the place of --within too, as the two go together.
func next(k *kong.Context) document.Next {
	return func(command string, more ...string) []string {
		flags := inherited(k, mannersOf, command, more)
		if i := slices.Index(more, ""); i > 0 {
			more = slices.Delete(more, i-1, i+1)
		}
		return slices.Concat([]string{"cfsg", command}, flags, more)
	}
}

// inherited returns the flags of this run that the next command has as well, without some, and those among more words.
func inherited(k *kong.Context, without []string, command string, more []string) (line []string) {
	given := func(name string) bool { return slices.Contains(more, "--"+name) }
	for _, f := range k.Flags() {
		unset := !f.Set && (f.Default != "" || f.Target.IsZero())
		if unset || given(f.Name) || f.Name == "within" && given("service") || slices.Contains(without, f.Name) || !hasFlag(k, command, f.Name) {
			continue
		}
		switch v := f.Target.Interface().(type) {
		case bool:
			if v {
				line = append(line, "--"+f.Name)
			}
		case []string:
			for _, item := range v {
				line = append(line, "--"+f.Name, item)
			}
		default:
			line = append(line, "--"+f.Name, fmt.Sprint(v))
		}
	}
	return line
}

func hasFlag(k *kong.Context, command, flag string) bool {
	for _, node := range k.Model.Children {
		if node.Name == command {
			return slices.ContainsFunc(node.Flags, func(f *kong.Flag) bool { return f.Name == flag })
		}
	}
	return false
}

// shellQuoted writes a word as a shell reads it.
func shellQuoted(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@=+,") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// ruleCommand is the command that authorizes or revokes a rule where it was found, word by word.
func (f placeFlags) ruleCommand(action, region, group string, id secgroup.RuleID, description string) []string {
	list, source := "IpRanges", "CidrIp="
	switch {
	case id.Source.Reference != "":
		list, source = "PrefixListIds", "PrefixListId="
	case secgroup.FamilyOf(id.Source.Prefix) == secgroup.IPv6:
		list, source = "Ipv6Ranges", "CidrIpv6="
	}
	source += id.Source.String()
	if description != "" {
		source += ",Description=" + strconv.Quote(description) // EC2 takes no quotes and no backslashes in one
	}
	ports := ""
	if id.From >= 0 {
		ports = fmt.Sprintf("FromPort=%d,ToPort=%d,", id.From, id.To)
	}
	command := []string{"aws", "ec2", action + "-security-group-ingress"}
	if f.Profile != "" {
		command = append(command, "--profile", f.Profile)
	}
	if f.EndpointURL != "" {
		command = append(command, "--endpoint-url", f.EndpointURL)
	}
	return append(command, "--region", region, "--group-id", group, "--ip-permissions", fmt.Sprintf("IpProtocol=%s,%s%s=[{%s}]", id.Protocol, ports, list, source))
}
