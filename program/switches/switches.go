// Package switches breaks one thing of the demo on purpose, so that a learner sees its effect in a trace.
package switches

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"etude/program/access"
	"etude/program/control"
	"etude/program/listen"
	"etude/program/supervise"
)

// A switch breaks one thing on purpose, so that a learner sees its effect in a trace. The services' code stays
// unchanged: a switch restarts a service with other variables. For faults that no variable can cause, a proxy
// changes spans (tap.go) or breaks requests (breaker.go).

// toggle is one switch.
type toggle struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Does  string   `json:"does"` // in one sentence
	See   string   `json:"see"`  // its effect in a trace
	Parts []string `json:"parts"`

	env     map[string][]string // variables for each part, by its name
	tapped  tapChange           // applied to the spans of all parts, when not nil
	breaks  bool                // calls of uservice4 pass the breaker
	replica bool                // a second uservice3 runs
}

// toggles are all switches, in the order of display.
var toggles = []toggle{
	{Name: "slow-redis", Title: "Slow Redis", Parts: []string{"uservice3"},
		Does: "The mock Redis command of uservice3 takes 1.5 to 2 seconds.",
		See:  "redis_call has a long stretch of its own before other_uservice_call begins. Now two spans are slow.",
		env:  map[string][]string{"uservice3": {"ETUDE_MOCK_REDIS=1500ms-1999ms"}}},
	{Name: "slow-database", Title: "Slow database", Parts: []string{"uservice4"},
		Does: "The mock database query of uservice4 takes 3 to 4 seconds.",
		See:  "The same shape, stretched: database_call grows, and every span above it waits longer.",
		env:  map[string][]string{"uservice4": {"ETUDE_MOCK_DATABASE=3000ms-3999ms"}}},
	{Name: "failing-database", Title: "Failing database", Parts: []string{"uservice4", "uservice3"},
		Does: "The database never answers. After half a second the connection from uservice3 to uservice4 breaks, as a network with a time-out would do.",
		See:  "The answer is 502, and five spans are red. Read them from the bottom up: the first error is that of uservice4, context canceled; the spans above only pass it on.",
		env:  map[string][]string{"uservice4": {"ETUDE_MOCK_DATABASE=1h"}}, breaks: true},
	{Name: "propagation-broken", Title: "Propagation broken", Parts: []string{"uservice3"},
		Does: "uservice3 neither reads the ids in the headers nor passes any on (OTEL_PROPAGATORS=none).",
		See:  "One request, three traces: that of the edge, that of uservice3, that of uservice4. No header reaches uservice4.",
		env:  map[string][]string{"uservice3": {"OTEL_PROPAGATORS=none"}}},
	{Name: "other-header", Title: "Other header format", Parts: []string{"uservice4"},
		Does: "uservice4 reads traceparent only (OTEL_PROPAGATORS=tracecontext). uservice3 still sends uber-trace-id.",
		See:  "The id arrives, in a header that uservice4 does not read: two traces, of five spans and of two.",
		env:  map[string][]string{"uservice4": {"OTEL_PROPAGATORS=tracecontext"}}},
	{Name: "spans-dropped", Title: "Spans dropped", Parts: []string{"uservice3"},
		Does: "The spans of uservice3 are made and never sent (OTEL_TRACES_EXPORTER=none). Their ids still travel on.",
		See:  "Four spans of seven. Those of uservice4 name a parent that is not there.",
		env:  map[string][]string{"uservice3": {"OTEL_TRACES_EXPORTER=none"}}},
	{Name: "half-sampled", Title: "Half sampled", Parts: []string{"uservice3", "uservice4", "edge"},
		Does: "On their way to the backend, the spans of every trace whose id ends in an odd digit are left out, as a sampler in a collector does.",
		See:  "Half of the traces are there, whole; the others are missing completely. Send a few requests.",
		env:  map[string][]string{"edge": {"ETUDE_TRACE_EXPORTER=otlp"}}, tapped: keepEvenTraces},
	{Name: "batch-processor", Title: "Batch processor", Parts: []string{"uservice3", "uservice4"},
		Does: "uservice3 and uservice4 collect their spans and send them every 5 seconds, as in production (ETUDE_SPAN_PROCESSOR=batch).",
		See:  "The answer arrives before the trace: two spans of the edge come at once, the other five up to 5 seconds later.",
		env:  map[string][]string{"uservice3": {"ETUDE_SPAN_PROCESSOR=batch"}, "uservice4": {"ETUDE_SPAN_PROCESSOR=batch"}}},
	{Name: "clock-skewed", Title: "Clock skewed", Parts: []string{"uservice4"},
		Does: "The clock of uservice4 is 700 ms behind: a proxy changes its spans on their way to the backend.",
		See:  "As recorded, uservice4 begins before it was called. The page notices, moves its spans and says by how much; the switch beside its note shows them as recorded.",
		env:  map[string][]string{"uservice4": {}}, tapped: turnBackClock},
	{Name: "two-replicas", Title: "Two replicas", Parts: []string{"uservice3", "edge"},
		Does: "A second uservice3 runs, and the edge sends requests to both in turn.",
		See:  "The same service.name, another process.pid and service.instance.id from request to request.",
		env:  map[string][]string{"uservice3": {"OTEL_RESOURCE_ATTRIBUTES=service.instance.id=1"}}, replica: true},
}

func findToggle(name string) (*toggle, error) {
	var names []string
	for i := range toggles {
		if toggles[i].Name == name {
			return &toggles[i], nil
		}
		names = append(names, toggles[i].Name)
	}
	return nil, fmt.Errorf("no switch is called %q: want some of %s", name, strings.Join(names, ", "))
}

// Describe prints all switches.
func Describe(w io.Writer) {
	fmt.Fprintln(w, "Switches break one thing on purpose, to show its effect in a trace. The page has them as well.")
	for _, t := range toggles {
		fmt.Fprintf(w, "\n  --switch %s\n      %s\n      %s\n", t.Name, t.Does, t.See)
	}
}

// Demo is what switches work on.
type Demo struct {
	Fleet    *supervise.Fleet
	OTLPEnv  []string    // environment that sends a part's spans to the backend; nil when they go to another one
	SpansTo  Destination // where the backend receives them
	Fourth   string      // address of uservice4
	OwnRules bool        // the edge has its built-in rules
	Log      *slog.Logger
}

// Board turns switches on and off.
//
// Order of locks: mu, then that of the fleet. Both are held while parts are being replaced.
type Board struct {
	Demo

	mu      sync.Mutex
	on      []*toggle // in the order of toggles
	taps    map[string]*tap
	breaker *breaker
	replica *supervise.Part
}

// New returns a board with all switches off.
func New(parts Demo) *Board {
	return &Board{Demo: parts, taps: map[string]*tap{}}
}

// switchPatience limits the time for replacing parts.
const switchPatience = 25 * time.Second

// set turns on the named switches and turns off all others. It returns when the affected parts run again.
func (s *Board) set(ctx context.Context, names []string) error {
	want, err := chosen(names)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Fleet.Change(func(c *supervise.Change) error {
		ctx, cancel := context.WithTimeoutCause(ctx, switchPatience, fmt.Errorf("no answer in %s", switchPatience))
		defer cancel()
		if err := s.prepare(c, want); err != nil {
			s.tidy(c)
			return err
		}
		if err := s.replaceParts(ctx, c); err != nil {
			return err // the parts not yet replaced may still use what tidy closes
		}
		s.tidy(c)
		return nil
	})
}

// replaceParts restarts the parts whose variables have changed.
func (s *Board) replaceParts(ctx context.Context, c *supervise.Change) error {
	if s.replica != nil && !s.replica.Started() {
		if err := c.Replace(ctx, s.replica); err != nil {
			return err
		}
	}
	for _, p := range c.Parts()[1:] {
		env := s.envOf(p.Name)
		if slices.Equal(env, p.Switched) || p == s.replica {
			continue
		}
		p.Switched = env
		if err := c.Replace(ctx, p); err != nil {
			p.Switched = nil // so that the next attempt starts it anew
			return fmt.Errorf("start %s again: %w", p.Name, err)
		}
	}
	return nil
}

// Begin sets the switches before the parts first run. It returns notes for the user.
func (s *Board) Begin(names []string) (notes []string, err error) {
	want, err := chosen(names)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.Fleet.Change(func(c *supervise.Change) error {
		if err := s.prepare(c, want); err != nil {
			return err
		}
		for _, p := range c.Parts()[1:] {
			p.Switched = s.envOf(p.Name)
		}
		return nil
	})
	for _, t := range want {
		notes = append(notes, fmt.Sprintf("Switched on, %s: %s", t.Name, t.Does))
	}
	return notes, err
}

func chosen(names []string) (want []*toggle, err error) {
	for _, name := range names {
		if _, err := findToggle(name); err != nil {
			return nil, err
		}
	}
	for i := range toggles {
		if slices.Contains(names, toggles[i].Name) {
			want = append(want, &toggles[i])
		}
	}
	return want, nil
}

// prepare opens the proxies and parts that the wanted switches need, and makes these switches the active ones.
// tidy closes later what they no longer need.
func (s *Board) prepare(c *supervise.Change, want []*toggle) (err error) {
	if err := s.refuse(want); err != nil {
		return err
	}
	s.on = want
	for _, t := range want {
		if t.breaks && s.breaker == nil {
			if s.breaker, err = openBreaker("http://"+s.Fourth, s.Log); err != nil {
				return err
			}
		}
		if t.replica && s.replica == nil {
			if s.replica, err = newReplica(c.Parts()); err != nil {
				return err
			}
			c.Add(s.replica)
		}
	}
	for name, changes := range s.tapped() {
		if s.taps[name] == nil {
			if s.taps[name], err = openTap(s.SpansTo); err != nil {
				return err
			}
		}
		s.taps[name].set(changes)
	}
	return nil
}

// refuse returns an error when a switch cannot work in this demo.
func (s *Board) refuse(want []*toggle) error {
	for _, t := range want {
		if t.tapped != nil && s.OTLPEnv == nil {
			return fmt.Errorf("the switch %s changes spans on their way to this backend, but OTEL_EXPORTER_OTLP_ENDPOINT sends spans to another", t.Name)
		}
		if t.replica && !s.OwnRules {
			return fmt.Errorf("the switch %s needs the built-in rules of the edge; --edge-config has others", t.Name)
		}
	}
	return nil
}

// tapped returns the active changes to spans, by the part that sends them.
func (s *Board) tapped() map[string][]tapChange {
	made := map[string][]tapChange{}
	for _, t := range s.on {
		if t.tapped != nil {
			for _, name := range t.Parts {
				made[name] = append(made[name], t.tapped)
			}
		}
	}
	return made
}

// envOf returns the variables that the active switches add for a part.
func (s *Board) envOf(name string) (env []string) {
	for _, t := range s.on {
		env = append(env, t.env[name]...)
		if t.breaks && name == "uservice3" {
			env = append(env, "ETUDE_NEXT_URL="+s.breaker.url)
		}
		if t.replica && name == "edge" {
			env = append(env, "USERVICE3_SECOND_URL=http://"+s.replica.Addr)
		}
	}
	if s.tapped()[name] != nil {
		if name == "edge" {
			env = append(env, s.OTLPEnv...)
		}
		// A certificate would make the sender use TLS. The tap listens without TLS, since it runs on this
		// machine; it uses TLS itself if the backend does.
		env = append(env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+s.taps[name].url, access.OTLPCertificateEnv+"=", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE=")
	}
	return env
}

// newReplica returns a second uservice3 on a free port.
func newReplica(parts []*supervise.Part) (*supervise.Part, error) {
	addr := "127.0.0.1:0"
	if err := listen.Resolve(&addr); err != nil {
		return nil, fmt.Errorf("find a port for the second uservice3: %w", err)
	}
	i := slices.IndexFunc(parts, func(p *supervise.Part) bool { return p.Name == "uservice3" })
	first := parts[i]
	made := &supervise.Part{Name: "uservice3b", Addr: addr, Args: slices.Clone(first.Args), Ready: supervise.Accepts(addr),
		Env: append(slices.Clone(first.Env), "OTEL_RESOURCE_ATTRIBUTES=service.instance.id=2")}
	made.Args[slices.Index(made.Args, "--listen-addr")+1] = addr
	return made, nil
}

// tidy closes everything that no active switch needs.
func (s *Board) tidy(c *supervise.Change) {
	needed := s.tapped()
	for name, t := range s.taps {
		if needed[name] == nil {
			t.close()
			delete(s.taps, name)
		}
	}
	if s.breaker != nil && !slices.ContainsFunc(s.on, func(t *toggle) bool { return t.breaks }) {
		s.breaker.close()
		s.breaker = nil
	}
	if s.replica != nil && !slices.ContainsFunc(s.on, func(t *toggle) bool { return t.replica }) {
		c.Remove(s.replica)
		s.replica = nil
	}
}

// switchState is the state of a switch in the page's JSON.
type switchState struct {
	toggle
	On bool `json:"on"`
}

type switchStates struct {
	Switches []switchState `json:"switches"`
}

func (s *Board) states() (all switchStates) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range toggles {
		all.Switches = append(all.Switches, switchState{toggles[i], slices.Contains(s.on, &toggles[i])})
	}
	return all
}

// AnswerStates answers with the state of all switches.
func (s *Board) AnswerStates(w http.ResponseWriter, _ *http.Request) {
	control.AnswerJSON(w, s.states())
}

// AnswerSet turns on exactly the switches that the request names. It uses ctx of `up`, not the request's
// context, so that a request that ends early leaves no parts half replaced.
func (s *Board) AnswerSet(ctx context.Context) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			On []string `json:"on"`
		}
		err := control.ReadJSON(w, r, &q)
		if err == nil {
			_, err = chosen(q.On)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := s.set(ctx, q.On); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		control.AnswerJSON(w, s.states())
	}
}
