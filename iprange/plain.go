package iprange

// plainEntry returns the length of a comma and the entry behind it at the start of b, if the entry is as plain as all that
// AWS publishes: an object of strings without escape sequences, in ASCII. Of these a look tells that they are valid JSON,
// and whether a name is in them. It returns 0 where anything else comes, for a decoder to judge, and -1 where b ends first.
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

// pass passes over white space from a place on, and over a character if it is the one that follows. It returns where it
// is then.
func pass(b []byte, at int, want byte) (int, bool) {
	for at < len(b) && isSpace(b[at]) {
		at++
	}
	if at < len(b) && b[at] == want {
		return at + 1, true
	}
	return at, false
}

// passString passes over white space and a plain string in the same way.
func passString(b []byte, at int) (int, bool) {
	at, ok := pass(b, at, '"')
	if !ok {
		return at, false
	}
	for at < len(b) && isPlain[b[at]] {
		at++
	}
	if at < len(b) && b[at] == '"' {
		return at + 1, true
	}
	return at, false
}

// isPlain has the characters that stand for themselves within a string.
var isPlain = func() (plain [256]bool) {
	for char := byte(' '); char <= '~'; char++ {
		plain[char] = char != '"' && char != '\\'
	}
	return plain
}()

// isSpace reports whether a character is white space in JSON. See https://www.rfc-editor.org/rfc/rfc8259#section-2
func isSpace(char byte) bool { return char == ' ' || char == '\n' || char == '\r' || char == '\t' }
