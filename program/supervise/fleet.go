// Package supervise runs programs as children: the parts of `up`, which it starts in
// order, watches, replaces and stops in reverse ([Fleet]), whose output it joins line by
// line ([Output]) and hands to readers ([Feed]). What the parts are is not its business.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Fleet are the running parts of `up`. A part can be replaced while the others
// run: its process ends, and another one begins with other variables.
//
// The lock is held for as long as parts are being replaced or stopped, so that
// the end of `up` finds every process. Whoever replaces parts gives up when `up`
// shall end, so that the end does not wait for it.
type Fleet struct {
	executable string
	out        *Output
	Deaths     chan *Run // runs that ended unasked

	mu      sync.Mutex
	parts   []*Part // in order of start
	stopped bool
}

// Run is one process of a part.
type Run struct {
	Part   *Part
	cmd    *exec.Cmd
	stdin  io.Closer   // its end tells the child to stop
	asked  atomic.Bool // the end was asked for
	exited chan struct{}
	err    error // how it exited; valid once exited is closed
}

var errStopping = errors.New("etude is stopping")

// NewFleet returns a fleet whose parts do not run yet. Each is the executable with other
// arguments; out gets what they print.
func NewFleet(executable string, out *Output, parts []*Part) *Fleet {
	return &Fleet{executable: executable, out: out, parts: parts, Deaths: make(chan *Run, 64)}
}

// Start starts all parts and waits until they are ready.
func (f *Fleet) Start(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.parts {
		if err := p.start(f.executable, f.out); err != nil {
			return err
		}
	}
	for _, p := range f.parts {
		if err := p.waitReady(ctx); err != nil {
			return err
		}
	}
	for _, p := range f.parts {
		f.watch(p.run)
	}
	return nil
}

// watch reports the end of a process, from now on.
func (f *Fleet) watch(r *Run) {
	go func() {
		<-r.exited
		if !r.asked.Load() {
			f.Deaths <- r
		}
	}()
}

// replaceGrace is how long a part that is replaced may take to stop.
const replaceGrace = 3 * time.Second

// Change is the right to replace parts. It ends with the function that was given it.
type Change struct{ f *Fleet }

// Change lets do replace parts, unless etude is stopping.
func (f *Fleet) Change(do func(*Change) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return errStopping
	}
	return do(&Change{f})
}

// Parts are all parts, in order of start; the first is the backend.
func (c *Change) Parts() []*Part { return slices.Clone(c.f.parts) }

// Add adds a part. [Change.Replace] starts it.
func (c *Change) Add(p *Part) { c.f.parts = append(c.f.parts, p) }

// Remove ends the process of a part that was added, and forgets it.
func (c *Change) Remove(p *Part) {
	stopParts([]*Part{p}, replaceGrace)
	c.f.parts = slices.DeleteFunc(c.f.parts, func(known *Part) bool { return known == p })
}

// Replace ends a part's process, if one runs, and starts another. A part that does
// not become ready is ended: [Fleet.Deaths] does not tell of it.
func (c *Change) Replace(ctx context.Context, p *Part) error {
	f := c.f
	stopParts([]*Part{p}, replaceGrace)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := p.start(f.executable, f.out); err != nil {
		return err
	}
	if err := p.waitReady(ctx); err != nil {
		stopParts([]*Part{p}, 0) // a part that does not come up is no reason to end the others
		return err
	}
	f.watch(p.run)
	return nil
}

// Alive reports whether any part runs.
func (f *Fleet) Alive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.parts, func(p *Part) bool { return p.run != nil && !p.run.gone() })
}

// Stop ends the last parts first and the first part, which keeps what the others
// send, last. It names those that had to be killed.
func (f *Fleet) Stop() (killed []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	killed = stopParts(f.parts[1:], stopGrace)
	return append(killed, stopParts(f.parts[:1], storeGrace)...)
}

// start runs the part as a child.
func (p *Part) start(executable string, out *Output) error {
	r := &Run{Part: p, cmd: exec.Command(executable, p.Args...), exited: make(chan struct{})}
	r.cmd.Env = slices.Concat(os.Environ(), p.Env, p.Switched)
	stdout, stderr := out.writer(p), out.writer(p)
	r.cmd.Stdout, r.cmd.Stderr = stdout, stderr
	stdin, err := PrepareChild(r.cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	r.stdin, p.run = stdin, r
	go func() {
		r.err = r.cmd.Wait()
		stdout.flush()
		stderr.flush()
		close(r.exited)
	}()
	return nil
}

// waitReady polls until the part answers, and fails when it exits first.
func (p *Part) waitReady(ctx context.Context) error {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.Ready(ctx) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.run.exited:
			return fmt.Errorf("%s stopped before it was ready (%s); its last words are above", p.Name, p.run.Fate())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.Name, context.Cause(ctx))
		}
	}
}

// gone reports whether the process has exited.
func (r *Run) gone() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// Fate says how an exited process ended.
func (r *Run) Fate() string {
	if r.err == nil {
		return "exit status 0"
	}
	return r.err.Error()
}

// stopParts asks all parts to stop, waits until the grace is over, and kills
// what is left. It names those that had to be killed.
func stopParts(parts []*Part, grace time.Duration) (killed []string) {
	for _, p := range parts {
		if p.run != nil {
			p.run.asked.Store(true)
			_ = p.run.stdin.Close() // the child may be gone already
		}
	}
	over := time.NewTimer(grace)
	defer over.Stop()
	var expired bool
	for _, p := range parts {
		if p.run == nil {
			continue
		}
		if !expired {
			select {
			case <-p.run.exited:
				continue
			case <-over.C:
				expired = true
			}
		}
		if !p.run.gone() {
			_ = p.run.cmd.Process.Kill()
			<-p.run.exited
			killed = append(killed, p.Name)
		}
	}
	return killed
}

const (
	stopGrace  = 1900 * time.Millisecond // all parts but the first together
	storeGrace = 20 * time.Second        // never cut short what saves spans
)
