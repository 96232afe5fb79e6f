package iprange

import (
	"fmt"
	"strings"
	"testing"
)

// TestPlainEntry puts each byte into a string.
func TestPlainEntry(t *testing.T) {
	for char := range 256 {
		for at := range 4 {
			text := strings.Repeat("x", at) + string([]byte{byte(char)}) + strings.Repeat("y", at%2)
			entry := fmt.Sprintf(`, {"name" : "%s"}`, text)
			want := len(entry)
			if char < ' ' || char == '"' || char == '\\' || char > '~' {
				want = 0
			}
			if got := plainEntry([]byte(entry + ",{}")); got != want {
				t.Errorf("%q: %d, want %d", entry, got, want)
			}
		}
	}
	whole := `, { "a" : "b" , "c":"d"}`
	for n := range len(whole) {
		if got := plainEntry([]byte(whole[:n])); got != -1 {
			t.Errorf("%q: %d, want -1", whole[:n], got)
		}
	}
}

// TestPlainEntries has the entry behind a plain one, with each of its bytes replaced by each other, and cut anywhere:
// it is judged as it is without one before it.
func TestPlainEntries(t *testing.T) {
	const before, entry = ",\n {\"a\": \"b\", \"c\" :\"d\" }", ",\n {\"a\": \"long\", \"c\" :\"\" },"
	judge := func(text string) {
		p := plainEntries{services: []string{"EC2"}}
		if got := p.next([]byte(before)); got != len(before) {
			t.Fatalf("%q: %d, want %d", before, got, len(before))
		}
		if got, want := p.next([]byte(text)), plainEntry([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	for at := range len(entry) {
		judge(entry[:at])
		for char := range 256 {
			judge(entry[:at] + string([]byte{byte(char)}) + entry[at+1:])
		}
	}
}

func TestPlainEntriesOfServices(t *testing.T) {
	p := plainEntries{services: []string{"EC2", "S3"}}
	for _, test := range []struct {
		entry string
		over  bool // whether it is passed over
	}{
		{`,{"service":"S3"}`, false},
		{`,{"service":"AMAZON"}`, true},
		{`,{"service":"EC2"}`, false},
		{`,{"service":"EC2_INSTANCE_CONNECT"}`, true},
		{`,{"service":"S3","service":"AMAZON"}`, false},
		{`,{"service":"AMAZON","service":"S3"}`, false},
		{`,{"S3":"AMAZON"}`, true},
	} {
		want := 0
		if test.over {
			want = len(test.entry)
		}
		for range 2 { // the second time, it is like the last
			if got := p.next([]byte(test.entry)); got != want {
				t.Errorf("%s: %d, want %d", test.entry, got, want)
			}
		}
	}
}
