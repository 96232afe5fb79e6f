package document

import "cloudfront-sg-sync/internal/door"

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
