package document

import (
	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
)

// An Apply is the function's report of a run, and how that ended: docs/schema/report.schema.json.
type Apply struct {
	*engine.Report
	Judgement
	Settings Settings `json:"settings"`
	// OpenToWorld are the rules that open ports which count to the world, after the run.
	OpenToWorld []door.WorldRule `json:"openToWorld"`
}

// NewApply returns the document of a run on a proposal that ended with an error, or none. The surroundings are those
// after the run.
func NewApply(report *engine.Report, p *Proposal, err error) Apply {
	d := Apply{Report: report, Settings: p.Settings, OpenToWorld: worldOf(p.Proposal, p.Around)}
	if err != nil {
		d.Judgement = Judge(Failed, hint.Problem(err), p.Next("plan")...)
		return d
	}
	now := *p
	now.Settings.Others = nil // they were made equal to the settings that somebody named
	d.Judgement = judge{&now, true}.all()
	return d
}
