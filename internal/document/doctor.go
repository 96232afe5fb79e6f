package document

import (
	"fmt"
	"strings"

	"cloudfront-sg-sync/internal/distribution"
	"cloudfront-sg-sync/internal/doctor"
	"cloudfront-sg-sync/internal/door"
)

// A Doctor is what was found out about an origin: docs/schema/doctor.schema.json.
type Doctor struct {
	Judgement
	// OpenToWorld are the rules of its interfaces that open ports which count to the world, as far as somebody looked.
	OpenToWorld []door.WorldRule `json:"openToWorld"`
	*doctor.Report
}

// NewDoctor judges a report. The check is that of the origin's door, nil if the door was not read.
func NewDoctor(r *doctor.Report, check *Check) Doctor {
	d := Doctor{Report: r, OpenToWorld: []door.WorldRule{}}
	if check != nil {
		d.OpenToWorld = append(d.OpenToWorld, check.OpenToWorld...)
	}
	steps := strings.Join(r.StepsWith(r.Verdict), ", ")
	mark, cause := Attention, "nothing here makes CloudFront answer 502, 503 or 504"
	switch {
	case r.Verdict == doctor.Fail:
		mark, cause = Failed, "viewers get errors from this origin: "+steps
		if r.Interrupted {
			cause = "interrupted; " + cause
		}
	case r.Interrupted:
		cause = "interrupted: some checks were not made"
	case r.Verdict == doctor.Unknown:
		cause = "cannot tell from here whether viewers get errors from this origin: " + steps
	case r.Verdict == doctor.Warn:
		cause += ", but there is something to look at: " + steps
	case check == nil:
		cause += "; who else gets in was not looked at"
	case len(r.Answers) == 0:
		mark, cause = OK, "all of CloudFront gets in, and the world does not; the origin itself was not asked from here"
	case r.SecondLayer != nil && r.SecondLayer.Demanded == doctor.No:
		cause += ", but any distribution gets an answer, not only yours"
	default:
		mark, cause = OK, "all of CloudFront gets in, and the world does not; nothing here makes it answer 502, 503 or 504"
	}
	d.Judgement = Judge(mark, cause)
	return d
}

// A Distribution is what was found out about a distribution's origins: docs/schema/distribution.schema.json.
type Distribution struct {
	Judgement
	OpenToWorld []door.WorldRule `json:"openToWorld"`
	*distribution.Distribution
	Origins []DistributionOrigin `json:"origins"`
}

// A DistributionOrigin is an origin, with a report for each way in which CloudFront asks it.
type DistributionOrigin struct {
	Judgement
	distribution.Origin
	Examinations []Doctor `json:"examinations"`
}

// Judge sums up an origin. What could not be known of it takes its check mark away.
func (o *DistributionOrigin) Judge() {
	switch {
	case o.LeftOut != "":
		o.Judgement = Judge(OK, "left out: "+o.LeftOut)
		return
	case len(o.Notes) > 0:
		o.Judgement = Judge(Attention, o.Notes[0])
	default:
		o.Judgement = Judge(OK, o.Examinations[0].Cause)
	}
	for _, d := range o.Examinations {
		o.Judgement = door.Worst(o.Judgement, d.Judgement)
	}
}

// Judge sums up the origins.
func (d *Distribution) Judge() {
	examined := 0
	if d.Judgement = Judge(OK, ""); !d.Enabled {
		d.Judgement = Judge(Attention, "the distribution is disabled")
	}
	for _, o := range d.Origins {
		if o.LeftOut == "" {
			examined++
		}
		one := o.Judgement
		one.Cause = fmt.Sprintf("origin %s: %s", o.ID, one.Cause)
		d.Judgement = door.Worst(d.Judgement, one)
		for _, e := range o.Examinations {
			d.OpenToWorld = append(d.OpenToWorld, e.OpenToWorld...)
		}
	}
	switch {
	case examined == 0 && d.Enabled:
		d.Judgement = Judge(Attention, "none of its origins can be examined from here")
	case d.Mark == OK:
		d.Cause = "all of CloudFront gets in at every origin that was examined, and the world does not; nothing makes it answer 502, 503 or 504"
	}
}
