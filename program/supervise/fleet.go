// Package supervise runs programs as children. [Fleet] starts the parts of `up` in order, watches and replaces
// them, and stops them in reverse. [Output] joins their output line by line, and [Feed] passes it to readers.
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

// Fleet is the set of running parts of `up`. It can replace a part while the others run: it ends the part's
// process and starts another with other variables.
//
// The lock is held while parts are being replaced or stopped, so that [Fleet.Stop] finds every process. A
// replacement gives up when `up` shall end, so that Stop does not wait for it.
type Fleet struct {
	executable string
	out        *Output
	Deaths     chan *Run // runs that ended unexpectedly

	mu      sync.Mutex
	parts   []*Part // in order of start
	stopped bool
}

// Run is one process of a part.
type Run struct {
	Part   *Part
	cmd    *exec.Cmd
	stdin  io.Closer   // closing it tells the child to stop
	asked  atomic.Bool // the fleet has asked it to exit
	exited chan struct{}
	err    error // its exit error; valid once exited is closed
}

var errStopping = errors.New("etude is stopping")

// NewFleet returns a fleet whose parts do not run yet. Each part is the executable with its own arguments; out
// gets the output of all.
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

// watch reports the end of a process to Deaths.
func (f *Fleet) watch(r *Run) {
	go func() {
		<-r.exited
		if !r.asked.Load() {
			f.Deaths <- r
		}
	}()
}

// replaceGrace is the time a replaced part may take to stop.
const replaceGrace = 3 * time.Second

// Change allows its holder to replace parts. It is valid until the function that received it returns.
type Change struct{ f *Fleet }

// Change calls do, which may replace parts, unless etude is stopping.
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

// Remove ends the process of an added part and removes the part.
func (c *Change) Remove(p *Part) {
	stopParts([]*Part{p}, replaceGrace)
	c.f.parts = slices.DeleteFunc(c.f.parts, func(known *Part) bool { return known == p })
}

// Replace ends a part's process, if one runs, and starts another. It ends a part that does not become ready,
// without reporting it to [Fleet.Deaths].
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
		stopParts([]*Part{p}, 0) // a part that does not become ready is no reason to end the others
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

// Stop ends the parts in reverse order; the first, which stores the others' data, comes last. It returns the
// names of those it had to kill.
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

// waitReady polls until the part answers. It fails when the part exits before.
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
			return fmt.Errorf("%s stopped before it was ready (%s); see its output above", p.Name, p.run.Fate())
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

// Fate describes how an exited process ended.
func (r *Run) Fate() string {
	if r.err == nil {
		return "exit status 0"
	}
	return r.err.Error()
}

// stopParts asks all parts to stop, waits for up to grace, and kills those still running. It returns the names
// of those it had to kill.
func stopParts(parts []*Part, grace time.Duration) (killed []string) {
	for _, p := range parts {
		if p.run != nil {
			p.run.asked.Store(true)
			_ = p.run.stdin.Close() // the child may have exited already
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
	stopGrace  = 5 * time.Second  // for all parts except the first together; on an idle machine they take milliseconds
	storeGrace = 20 * time.Second // long, since the store must save its spans
)
