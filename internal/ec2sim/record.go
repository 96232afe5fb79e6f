package ec2sim

import "slices"

// A Call is one call the endpoint has answered, or let fail.
type Call struct {
	Seq             int // counts from 1
	Account, Region string
	Service         string // "ec2", "elasticloadbalancing", "sts" or "servicequotas"
	Action          string
	Resource        string // the first that the call named, such as a group's ID
	Rules           int    // how many rules it was to authorize, revoke or change
	Mutating        bool   // whether the action changes anything
	Effective       bool   // whether this call has; with an injected fault, even if it failed
	Error           string // the error code of the answer, empty for success
}

// A Change holds the security groups that an effective call has created or changed, and the other resources that decide
// who gets in by them, as they are now.
type Change struct {
	Call       Call // the zero value for a change made by hand, see [Region]
	Groups     []Group
	Interfaces []Interface // those of a load balancer are changed by one call
	// PrefixLists show again, with the zero Call, when a change that takes time is complete.
	PrefixLists []PrefixList
	Deleted     []string // IDs

	at *site
}

// All returns the groups, by ID, and the network interfaces of the region that has changed, as they are now.
func (c Change) All() (groups map[string]Group, interfaces []Interface) {
	groups = map[string]Group{}
	for g := range c.at.groups.all {
		groups[g.ID] = *g
	}
	return groups, c.at.interfaces.copies()
}

// Calls returns the recorded calls in the order they took effect: all since the start or the last [Server.ResetCalls],
// but no more than the last 100,000.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ResetCalls forgets the recorded calls, and returns them.
func (s *Server) ResetCalls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// Observe has f called after every effective mutating call and every change by hand, before the next call takes effect:
// f gets the state between the two, and must not use the Server. Once any method of the Server has returned, f has
// ended, and its results may be read.
func (s *Server) Observe(f func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers, f)
}

func (s *Server) record(c Call) {
	s.seq++
	c.Seq = s.seq
	if len(s.calls) == 100_000 {
		s.calls = slices.Clone(s.calls[50_000:])
	}
	s.calls = append(s.calls, c)
	if c.Effective {
		s.notify(c, s.site(c.Account, c.Region))
	}
}

// touch notes that a call has changed resources that observers are told about.
func (s *site) touch(ids ...string) {
	for _, id := range ids {
		if !slices.Contains(s.server.touched, id) {
			s.server.touched = append(s.server.touched, id)
		}
	}
}

func (s *Server) notify(c Call, at *site) {
	change := Change{Call: c, at: at}
	for _, id := range s.touched {
		if g := at.groups.byID[id]; g != nil {
			change.Groups = append(change.Groups, *g)
		} else if i := at.interfaces.byID[id]; i != nil {
			change.Interfaces = append(change.Interfaces, *i)
		} else if l := at.prefixLists.byID[id]; l != nil {
			change.PrefixLists = append(change.PrefixLists, *l)
		} else {
			change.Deleted = append(change.Deleted, id)
		}
	}
	s.touched = nil
	at.remember()
	for _, f := range s.observers {
		f(change)
	}
}

// A state is the part of a site that calls about rules describe, at one moment.
type state struct {
	groups      table[Group]
	interfaces  table[Interface]
	prefixLists table[PrefixList]
}

func (s *site) remember() {
	if n := s.server.options.Remember; n > 0 {
		s.past = append(s.past, state{s.groups.frozen(), s.interfaces.frozen(), s.prefixLists.frozen()})
		s.past = s.past[max(0, len(s.past)-n):]
	}
}

// rewind shows a site as it was before the last changes, as far as that is remembered, until the function it returns is
// called.
func (s *site) rewind(changes int) (forward func()) {
	now := s.state
	if last := len(s.past) - 1; last > 0 {
		s.state = s.past[max(0, last-changes)]
	}
	return func() { s.state = now }
}
