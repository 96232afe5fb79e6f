package iprange

// plainEntry returns the length of a comma and the entry behind it at the start of b, if the entry is as plain as all that
// AWS publishes: an object of strings without escape sequences, in ASCII. Of these a look tells that they are valid JSON,
// and whether a name is in them. It returns 0 where anything else comes, for a decoder to judge, and -1 where b ends first.
func plainEntry(b []byte) int {
	c := cursor{b: b}
	ok := c.take(',') && c.take('{')
	for ok {
		if ok = c.text() && c.take(':') && c.text(); ok && !c.take(',') {
			if ok = c.take('}'); ok {
				return c.at
			}
		}
	}
	if c.at == len(b) {
		return -1
	}
	return 0
}

// cursor is a place in a text, which is moved on by what is there.
type cursor struct {
	b  []byte
	at int
}

// take passes over white space and a character, if it is the one that follows.
func (c *cursor) take(want byte) bool {
	for c.at < len(c.b) && isSpace(c.b[c.at]) {
		c.at++
	}
	if c.at < len(c.b) && c.b[c.at] == want {
		c.at++
		return true
	}
	return false
}

// text passes over white space and a plain string.
func (c *cursor) text() bool {
	if !c.take('"') {
		return false
	}
	for ; c.at < len(c.b); c.at++ {
		switch char := c.b[c.at]; {
		case char == '"':
			c.at++
			return true
		case char < ' ' || char == '\\' || char > '~':
			return false
		}
	}
	return false
}

// isSpace reports whether a character is white space in JSON. See https://www.rfc-editor.org/rfc/rfc8259#section-2
func isSpace(char byte) bool { return char == ' ' || char == '\n' || char == '\r' || char == '\t' }
