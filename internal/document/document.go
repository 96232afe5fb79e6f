// Package document holds the documents that cfsg prints with -o json, and pages render. Each command has one.
package document

import (
	"encoding/json"
	"fmt"
	"io"

	"cloudfront-sg-sync/internal/door"
)

// Write writes a document that people may read as well.
func Write(out io.Writer, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// Message returns the text of an error, or nothing.
func Message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A Check says who gets in at an origin: docs/schema/check.schema.json.
type Check struct {
	Settings Settings `json:"settings"`
	Services []string `json:"services"`
	Within   []string `json:"within"`
	Account  string   `json:"account"` // empty for that of the credentials
	Region   string   `json:"region"`
	Judgement
	*door.Report
}
