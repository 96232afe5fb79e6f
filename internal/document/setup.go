package document

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"cloudfront-sg-sync/internal/door"
	"cloudfront-sg-sync/internal/engine"
	"cloudfront-sg-sync/internal/hint"
	"cloudfront-sg-sync/internal/setup"
	"cloudfront-sg-sync/internal/words"
	"cloudfront-sg-sync/secgroup"
)

// A Setup is the document of cfsg setup: docs/schema/setup.schema.json.
type Setup struct {
	Judgement
	Settings    Settings  `json:"settings"`
	Services    []string  `json:"services"`
	Within      []string  `json:"within"`
	PublishedAt time.Time `json:"publishedAt"`
	Account     string    `json:"account"` // empty for that of the credentials
	Region      string    `json:"region"`
	Origin      struct {
		Kind setup.Kind `json:"kind"`
		Name string     `json:"name"`
	} `json:"origin"`
	Ports  []string `json:"ports"`
	Undo   bool     `json:"undo"`
	DryRun bool     `json:"dryRun"`
	// Interfaces are the origin's, with their groups as they were seen last.
	Interfaces []setupInterface `json:"interfaces"`
	// PrefixLists are those that setups have made for the origin.
	PrefixLists []setupList `json:"prefixLists"`
	// RulesPerPort counts what each port needs; null for an undo.
	RulesPerPort *engine.PerFamily `json:"rulesPerPort"`
	Notes        []string          `json:"notes"`
	Steps        []setupStep       `json:"steps"`
	// Verdict says whether all that is wanted gets in at each interface, by rules that are not open to the world. It is
	// empty if that was not checked.
	Verdict     door.Verdict    `json:"verdict"`
	OpenToWorld []setup.Opening `json:"openToWorld"`
	// ShutOut are the interfaces at which an undo shuts CloudFront out.
	ShutOut []string `json:"shutOut"`
	// ForOwner is the next task of the groups' owner, so that CloudFront gets in by the lists and then nobody else
	// does; null if there is none.
	ForOwner *setup.Handover `json:"forOwner"`
	Left     []string        `json:"left"`
	// Door is the report on the whole door; nil if that was not looked at.
	Door *door.Report `json:"-"`
}

type setupInterface struct {
	*door.Interface
	Groups []door.GroupID `json:"groups"`
}

type setupList struct {
	PrefixListID string `json:"prefixListId"`
	Name         string `json:"name"`
	Family       string `json:"family"`
	MaxEntries   int    `json:"maxEntries"`
}

type setupStep struct {
	setup.Step
	Done bool `json:"done"`
}

// NewSetup returns the document of a setup that has done nothing yet.
func NewSetup(origin setup.Origin, ports []secgroup.PortRange, settings Settings, target *engine.Target, published time.Time) *Setup {
	d := &Setup{
		Settings: settings, Services: settings.Services, Within: settings.Within, PublishedAt: published,
		Account: target.Account, Region: target.Region, Ports: secgroup.PortNames(ports),
		Interfaces: []setupInterface{}, PrefixLists: []setupList{}, Notes: []string{}, Steps: []setupStep{},
		Judgement: Judge(Failed, "not finished"), OpenToWorld: []setup.Opening{}, ShutOut: []string{}, Left: []string{},
	}
	d.Origin.Kind, d.Origin.Name = origin.Kind, origin.Name
	return d
}

// Note adds a note.
func (d *Setup) Note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// See takes over the state of the origin. Its notes do not change while it is set up.
func (d *Setup) See(state *setup.State) {
	if len(d.Interfaces) == 0 {
		d.Notes = append(d.Notes, state.Notes...)
	}
	d.PrefixLists = []setupList{}
	for _, l := range state.Lists() {
		d.PrefixLists = append(d.PrefixLists, setupList{l.ID, l.Name, l.Family.String(), l.MaxEntries})
	}
	d.Interfaces = []setupInterface{}
	for _, subject := range state.Scene.Subjects {
		i := setupInterface{subject.Interface, []door.GroupID{}}
		for _, g := range subject.Groups {
			i.Groups = append(i.Groups, door.GroupID{ID: g.ID, Name: g.Name})
		}
		d.Interfaces = append(d.Interfaces, i)
	}
}

// Planned adds steps that are not taken yet.
func (d *Setup) Planned(steps []setup.Step) {
	for _, step := range steps {
		d.Steps = append(d.Steps, setupStep{step, false})
	}
}

// Taken notes that a step was taken, which was planned unless it closes a rule.
func (d *Setup) Taken(step setup.Step) {
	for i := range d.Steps {
		if s := &d.Steps[i]; s.Action == step.Action && s.On == step.On && s.Detail == step.Detail {
			s.Done = true
			return
		}
	}
	d.Steps = append(d.Steps, setupStep{step, true})
}

// Conclude judges the result. A next run with more flags closes rules that are still open to the world, unless a person
// has to do something first.
func (d *Setup) Conclude(err error, next Next) {
	var open, beside []string
	closable := false
	for _, o := range d.open() {
		closable = closable || o.Advice == ""
		ports := &open
		if o.Beside {
			ports = &beside
		}
		for _, p := range o.Opens { // several rules may open a port
			if !slices.Contains(*ports, p) {
				*ports = append(*ports, p)
			}
		}
	}
	ports := strings.Join(slices.Concat(d.Ports, beside), ",")
	whole := door.Judgement{Mark: OK}
	if d.Door != nil {
		whole = d.Door.Judgement
	}
	var undo []string
	if d.Undo {
		undo = []string{"--undo"}
	}
	switch {
	case err != nil:
		d.Judgement = Judge(Failed, hint.Problem(err), next("setup", undo...)...)
	case d.DryRun && len(d.Steps) > 0:
		d.Judgement = Judge(Attention, fmt.Sprintf("a dry run: %s not taken", words.CountAs(len(d.Steps), "step is", "steps are")), next("setup", undo...)...)
	case d.Undo:
		d.Judgement = Judge(OK, "setup has left nothing here")
	case whole.Mark == Failed && d.Verdict == door.Open:
		d.Judgement = Judge(Failed, whole.Cause, next("check")...)
	case d.ForOwner != nil:
		d.Judgement = Judge(Attention, "the owner of the security groups has something to do, see above", next("setup")...)
	case len(open) > 0 && !closable: // a person has to do something first
		d.Judgement = Judge(Attention, fmt.Sprintf("CloudFront gets in, and %s open to the world, see above", words.PortsAre(open)), next("check")...)
	case len(open) > 0:
		d.Judgement = Judge(Attention, fmt.Sprintf("CloudFront gets in, and %s open to the world", words.PortsAre(open)), next("setup", "--close-world")...)
	case len(beside) > 0:
		d.Judgement = Judge(Attention, fmt.Sprintf("CloudFront gets in, and %s open to the world", words.PortsAre(beside)), next("setup", "--port", ports, "--close-world")...)
	case !d.public():
		d.Judgement = Judge(Attention, "no interface has a public address, so CloudFront does not connect to it directly", next("check")...)
	case whole.Mark != OK:
		d.Judgement = Judge(whole.Mark, whole.Cause, next("check")...)
	default:
		d.Judgement = Judge(OK, fmt.Sprintf("CloudFront gets in on %s, and no rule opens that to the world", words.Ports(d.Ports)))
	}
}

// public reports whether each interface has a public address.
func (d *Setup) public() bool {
	return !slices.ContainsFunc(d.Interfaces, func(i setupInterface) bool { return !i.Public() })
}

// Done counts the steps that were taken.
func (d *Setup) Done() int {
	n := 0
	for _, s := range d.Steps {
		if s.Done {
			n++
		}
	}
	return n
}

// open are the rules that are open to the world still.
func (d *Setup) open() []setup.Opening {
	return slices.DeleteFunc(slices.Clone(d.OpenToWorld), func(o setup.Opening) bool { return o.Closed })
}

// Leave lists the tasks that are left: about rules that are open to the world, and about the function that keeps the
// groups up to date. The stack is the function's, if its settings were used, and own is set if flags say otherwise.
// ownerNote says how to keep the owner of a group from opening a rule again.
func (d *Setup) Leave(stack string, own bool, ownerNote func(group string) string) {
	for _, o := range d.open() {
		if d.ForOwner != nil {
			break // that comes first
		}
		advice := cmp.Or(o.Advice, "Run this again and answer yes, or use --close-world.")
		d.Left = append(d.Left, fmt.Sprintf("Still open to the world: %s. %s", o, advice))
	}
	for _, r := range d.OpenToWorld {
		if note := ownerNote(r.Group.ID); r.Closed && note != "" && !slices.Contains(d.Left, note) {
			d.Left = append(d.Left, note)
		}
	}
	d.Left = append(d.Left, NotAuthentication)
	settings := "Services=" + strings.Join(d.Services, ",")
	if len(d.Within) > 0 {
		settings += " Within=" + strings.Join(d.Within, ",")
	}
	switch {
	case stack == "":
		d.Left = append(d.Left, fmt.Sprintf("CloudFront's ranges change: deploy the function, which follows them (see \"Deploy\" in the README), with %s. "+
			"If it is deployed already, run this again with --stack and the name of its stack: that takes its settings.", settings))
	case own:
		d.Left = append(d.Left, fmt.Sprintf("Give the function of stack %s the settings that you passed as flags: %s.", stack, settings))
	default:
		d.Left = append(d.Left, fmt.Sprintf("Nothing to deploy: the function of stack %s has these settings and keeps the groups up to date, if its regions include %s.", stack, d.Region))
	}
}
