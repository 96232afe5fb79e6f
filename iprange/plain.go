package iprange

import (
	"bytes"
	"slices"
)

// plainEntries finds the entries of a list that no JSON decoder has to see, because they are plain and of other
// services.
//
// A program writes all entries of a list alike: only their values differ. So the text around the values is remembered. If
// the next entry has the same text, only its values have to be read byte by byte.
type plainEntries struct {
	services []string // whose entries are not passed over
	last     []byte   // the last entry that was scanned from end to end
	around   [][]byte // its text before the first value, between each two, and after the last
}

// next returns the length of a comma and the following entry at the start of b, if this entry can be passed over. It
// returns 0 for anything else, which the decoder then reads, and -1 if b ends first.
func (p *plainEntries) next(b []byte) int {
	if length, alike := p.likeLast(b); alike {
		return length
	}
	length := plainEntry(b)
	if length > 0 {
		p.remember(b[:length])
		length, _ = p.likeLast(b)
	}
	return length
}

// likeLast reports whether b starts with an entry that differs from the last only in its values, and returns its length,
// or 0 if a value is the name of one of the services.
func (p *plainEntries) likeLast(b []byte) (length int, alike bool) {
	rest := b
	for i, text := range p.around {
		if i > 0 {
			value := rest[:plainLength(rest)]
			if slices.ContainsFunc(p.services, func(service string) bool { return service == string(value) }) {
				return 0, true
			}
			rest = rest[len(value):]
		}
		if !bytes.HasPrefix(rest, text) {
			return 0, false
		}
		rest = rest[len(text):]
	}
	return len(b) - len(rest), len(p.around) > 0
}

// remember keeps a plain entry, and finds the text around its values.
func (p *plainEntries) remember(entry []byte) {
	p.last, p.around = append(p.last[:0], entry...), p.around[:0]
	begin, quotes := 0, 0
	for at, char := range p.last {
		if char != '"' {
			continue
		}
		switch quotes++; quotes % 4 { // two for each name, two for its value
		case 3:
			p.around = append(p.around, p.last[begin:at+1])
		case 0:
			begin = at
		}
	}
	p.around = append(p.around, p.last[begin:])
}

// plainEntry returns the length of a comma and the following entry at the start of b, if the entry is as plain as all
// that AWS publishes: an object of strings in ASCII without escape sequences, which is easily seen to be valid JSON. It
// returns 0 for anything else, and -1 if b ends first.
func plainEntry(b []byte) int {
	at, ok := pass(b, 0, ',')
	if ok {
		at, ok = pass(b, at, '{')
	}
	for ok {
		if at, ok = passString(b, at); !ok {
			break
		}
		if at, ok = pass(b, at, ':'); !ok {
			break
		}
		if at, ok = passString(b, at); !ok {
			break
		}
		if at, ok = pass(b, at, ','); !ok {
			if at, ok = pass(b, at, '}'); ok {
				return at
			}
		}
	}
	if at == len(b) {
		return -1
	}
	return 0
}

// pass skips white space from an index on, and the wanted character if it follows. It returns the new index.
func pass(b []byte, at int, want byte) (int, bool) {
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	if at < len(b) && b[at] == want {
		return at + 1, true
	}
	return at, false
}

// passString skips white space and a plain string in the same way.
func passString(b []byte, at int) (int, bool) {
	at, ok := pass(b, at, '"')
	if !ok {
		return at, false
	}
	at += plainLength(b[at:])
	if at < len(b) && b[at] == '"' {
		return at + 1, true
	}
	return at, false
}

// plainLength returns how many characters at the start of b are literal within a string.
func plainLength(b []byte) int {
	for i, char := range b {
		if !isPlain[char] {
			return i
		}
	}
	return len(b)
}

// isPlain has the characters that are literal within a string.
var isPlain = func() (plain [256]bool) {
	for char := byte(' '); char <= '~'; char++ {
		plain[char] = char != '"' && char != '\\'
	}
	return plain
}()

// isSpace reports whether a character is white space in JSON. See https://www.rfc-editor.org/rfc/rfc8259#section-2
func isSpace(char byte) bool { return char == ' ' || char == '\n' || char == '\r' || char == '\t' }
