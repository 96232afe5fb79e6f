// Package words writes the small parts of messages for people.
package words

import (
	"fmt"
	"strconv"
	"strings"
)

// Count returns a number of things, such as "1 rule" or "2 entries". The noun is given in the singular.
func Count(n int, noun string) string {
	plural := noun + "s"
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		plural = stem + "ies"
	}
	return CountAs(n, noun, plural)
}

// CountAs returns a number of things with the words for one and for any other number, such as "1 rule was" or "2 rules
// were".
func CountAs(n int, one, other string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, other)
}

// Strings returns the texts of some things. It is never nil, so that JSON has an empty list of none.
func Strings[T fmt.Stringer](items []T) []string {
	texts := make([]string, 0, len(items))
	for _, item := range items {
		texts = append(texts, item.String())
	}
	return texts
}

// Few names the first three of some things, and says how many more there are.
func Few(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// Ports names port ranges, such as "port 443" or "ports 80, 8000-8080".
func Ports(ranges []string) string {
	list := strings.Join(ranges, ", ")
	if strings.ContainsAny(list, ",-") {
		return "ports " + list
	}
	return "port " + list
}

// PortsAre returns port ranges as the subject of a sentence, such as "port 443 is".
func PortsAre(ranges []string) string {
	subject := Ports(ranges)
	if strings.HasPrefix(subject, "ports") {
		return subject + " are"
	}
	return subject + " is"
}

// Shorten cuts a text after a number of bytes, at the end of a character.
func Shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	if most <= 0 {
		return ""
	}
	return cut(text, most) + "…"
}

// Quote quotes a text from elsewhere for an error message, cut after a number of bytes.
func Quote(text string, most int) string {
	if len(text) <= most {
		return strconv.Quote(text)
	}
	return strconv.Quote(cut(text, most)) + "…"
}

func cut(text string, most int) string { return strings.ToValidUTF8(text[:most], "") }
