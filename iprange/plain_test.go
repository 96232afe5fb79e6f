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
