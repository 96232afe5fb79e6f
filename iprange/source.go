package iprange

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// MaxSize is the size of a document, after decompression, beyond which it is refused: a dozen times that of today's.
	MaxSize = 32 << 20

	// maxEntry is how far the decoder may read without coming to the end of a token or an entry. It keeps the memory
	// used small whatever a document contains. Entries have some 150 bytes.
	maxEntry = 16 << 10
)

// ErrTooLarge is the error of a document of more than [MaxSize] bytes.
var ErrTooLarge = fmt.Errorf("the file is larger than %d MiB", MaxSize>>20)

// source hashes and counts what is read through it, and remembers enough to explain what went wrong.
type source struct {
	r        io.Reader
	hash     hash.Hash
	consumed func() int64 // how far the decoder is
	size     int64
	head     [32]byte // the first bytes
	escapes  bool     // whether a backslash was read
	err      error    // of reading, unless io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if s.size < int64(len(s.head)) {
		copy(s.head[s.size:], p[:n])
	}
	s.hash.Write(p[:n])
	s.escapes = s.escapes || bytes.IndexByte(p[:n], '\\') >= 0
	s.size += int64(n)
	switch {
	case s.size > MaxSize:
		s.err = ErrTooLarge
	case err != nil && !errors.Is(err, io.EOF):
		s.err = &readError{err}
	case s.size-s.consumed() > maxEntry:
		s.err = fmt.Errorf("a token or entry of more than %d bytes follows byte %d", maxEntry, s.consumed())
	}
	if s.err != nil {
		return 0, s.err
	}
	return n, err
}

// readError is an error of the reader that a document comes from, and not of the document.
type readError struct{ err error }

func (e *readError) Error() string { return "read: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// explain makes of an error of the decoder one that tells a reader what is wrong with the file.
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
	if _, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	return err
}
