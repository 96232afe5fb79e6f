package iprange

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxSize is the largest accepted size of a document, after decompression: a dozen times today's.
	MaxSize = 32 << 20

	// maxEntry is the largest token or entry, so that the decoder needs little memory for any document. Entries have
	// some 150 bytes.
	maxEntry = 16 << 10
)

// ErrTooLarge is the error of a document of more than [MaxSize] bytes.
var ErrTooLarge = fmt.Errorf("the file is larger than %d MiB", MaxSize>>20)

// source hashes and counts the bytes read through it, and remembers enough to explain errors. It hands the decoder at
// most one object, or the text before a list, at a time: so the decoder holds only the entry that it reads, and the
// following entries can be passed over.
type source struct {
	r        io.Reader
	hash     hash.Hash
	consumed func() int64 // how much of handed the decoder has read
	size     int64        // read from r
	handed   int64        // to the decoder
	skipped  int64        // passed over without the decoder
	head     [32]byte     // the first bytes
	buffer   [2 * maxEntry]byte
	next     []byte // of buffer: read, but neither handed on nor passed over
	ended    bool   // nothing follows next
	err      error  // of reading, unless io.EOF
}

// Read implements io.Reader for the decoder.
func (s *source) Read(p []byte) (int, error) {
	if len(s.next) == 0 && s.err == nil && !s.ended {
		s.more()
	}
	n := len(s.next)
	if i := bytes.IndexByte(s.next, '}'); i >= 0 {
		n = i + 1
	}
	if i := bytes.IndexByte(s.next[:n], '['); i >= 0 {
		n = i + 1
	}
	n = copy(p, s.next[:n])
	s.next = s.next[n:]
	s.handed += int64(n)
	if s.err == nil && s.handed-s.consumed() > maxEntry {
		s.err = fmt.Errorf("a token or entry of more than %d bytes follows byte %d", maxEntry, s.skipped+s.consumed())
	}
	if s.err != nil {
		return 0, s.err
	}
	if n == 0 && s.ended {
		return 0, io.EOF
	}
	return n, nil
}

// more reads more than next.
func (s *source) more() {
	kept := copy(s.buffer[:], s.next)
	n, err := s.r.Read(s.buffer[kept:])
	for tries := 0; n == 0 && err == nil; tries++ { // allowed, but discouraged: see io.Reader
		if n, err = s.r.Read(s.buffer[kept:]); tries == 100 {
			err = cmp.Or(err, io.ErrNoProgress)
		}
	}
	s.next = s.buffer[:kept+n]
	read := s.next[kept:]
	if s.size < int64(len(s.head)) {
		copy(s.head[s.size:], read)
	}
	s.hash.Write(read)
	s.size += int64(n)
	switch {
	case s.size > MaxSize:
		s.err = ErrTooLarge
	case errors.Is(err, io.EOF):
		s.ended = true
	case err != nil:
		s.err = &readError{err}
	}
}

// skip passes over the plain entries after the one that the decoder has read, and returns their number.
func (s *source) skip(plain *plainEntries) int {
	if s.handed != s.consumed() {
		return 0
	}
	for n := 0; ; {
		switch length := plain.next(s.next); {
		case length < 0 && !s.ended && s.err == nil && len(s.next) <= maxEntry:
			s.more()
		case length <= 0:
			return n
		default:
			s.next = s.next[length:]
			s.skipped += int64(length)
			n++
		}
	}
}

// readError is an error of the document's reader, not of the document.
type readError struct{ err error }

func (e *readError) Error() string { return "read: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// explain turns an error of the decoder into one that says what is wrong with the file.
func (s *source) explain(err error) error {
	head := bytes.TrimLeft(s.head[:min(s.size, int64(len(s.head)))], " \t\r\n")
	switch {
	case s.err != nil:
		return s.err
	case errors.Is(err, io.EOF):
		return errors.New("the file is empty")
	case len(head) > 0 && head[0] != '{':
		return fmt.Errorf("this is not ip-ranges.json: it starts with %q", head)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the file is cut short after %d bytes: %w", s.size, io.ErrUnexpectedEOF)
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		syntax.ByteOffset += s.skipped
		return fmt.Errorf("not valid JSON: %w", err)
	}
	return err
}
