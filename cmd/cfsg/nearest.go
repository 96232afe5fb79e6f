package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"cloudfront-sg-sync/iprange"
)

// suggestServices says of services without a selected range in a document what it has of them, and of those that it
// does not know which are most like them.
func suggestServices(missing []string, document []byte) string {
	hint := "cfsg ranges list names all services"
	services, err := iprange.Services(bytes.NewReader(document))
	if err != nil {
		return hint
	}
	var names, guesses []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	for _, name := range missing {
		if i := slices.Index(names, name); i >= 0 {
			hint = fmt.Sprintf("%s has %s ranges only; %s", name, familyOf(services[i]), hint)
		} else if guess := nearest(name, names); guess != "" {
			guesses = append(guesses, guess)
		}
	}
	if len(guesses) == 0 {
		return hint
	}
	return fmt.Sprintf("did you mean %s? %s", strings.Join(guesses, " and "), hint)
}

// familyOf names the family of a service that has ranges of one only.
func familyOf(s iprange.Service) string {
	if len(s.IPv4) > 0 {
		return "IPv4"
	}
	return "IPv6"
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
