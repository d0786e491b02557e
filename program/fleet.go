package program

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

// fleet are the running parts of `up`. A part can be replaced while the others
// run: its process ends, and another one begins with other variables.
//
// The lock is held for as long as parts are being replaced or stopped, so that
// the end of `up` finds every process. Whoever replaces parts gives up when `up`
// shall end, so that the end does not wait for it.
type fleet struct {
	executable string
	out        *prefixer
	deaths     chan *run // runs that ended unasked

	mu      sync.Mutex
	parts   []*part // in order of start
	stopped bool
}

// run is one process of a part.
type run struct {
	part   *part
	cmd    *exec.Cmd
	stdin  io.Closer   // its end tells the child to stop
	asked  atomic.Bool // the end was asked for
	exited chan struct{}
	err    error // how it exited; valid once exited is closed
}

var errStopping = errors.New("etude is stopping")

func newFleet(executable string, out *prefixer, parts []*part) *fleet {
	return &fleet{executable: executable, out: out, parts: parts, deaths: make(chan *run, 64)}
}

// start starts all parts and waits until they are ready.
func (f *fleet) start(ctx context.Context) error {
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
func (f *fleet) watch(r *run) {
	go func() {
		<-r.exited
		if !r.asked.Load() {
			f.deaths <- r
		}
	}()
}

// replaceGrace is how long a part that is replaced may take to stop.
const replaceGrace = 3 * time.Second

// replace ends a part's process, if one runs, and starts another. A part that does
// not become ready is ended: f.deaths does not tell of it. f.mu is held.
func (f *fleet) replace(ctx context.Context, p *part) error {
	stopParts([]*part{p}, replaceGrace)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := p.start(f.executable, f.out); err != nil {
		return err
	}
	if err := p.waitReady(ctx); err != nil {
		stopParts([]*part{p}, 0) // a part that does not come up is no reason to end the others
		return err
	}
	f.watch(p.run)
	return nil
}

// alive reports whether any part runs.
func (f *fleet) alive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.parts, func(p *part) bool { return p.run != nil && !p.run.gone() })
}

// stop ends the last parts first and the first part, which keeps what the others
// send, last. It names those that had to be killed.
func (f *fleet) stop() (killed []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	killed = stopParts(f.parts[1:], stopGrace)
	return append(killed, stopParts(f.parts[:1], storeGrace)...)
}

// start runs the part as a child of its own process group: a Ctrl-C in the
// terminal must reach the parent alone, which stops the parts in order.
func (p *part) start(executable string, out *prefixer) error {
	r := &run{part: p, cmd: exec.Command(executable, p.args...), exited: make(chan struct{})}
	r.cmd.Env = slices.Concat(os.Environ(), []string{supervisedEnv + "=1"}, p.env, p.switched)
	r.cmd.SysProcAttr = ownGroup()
	stdout, stderr := out.writer(p.name), out.writer(p.name)
	r.cmd.Stdout, r.cmd.Stderr = stdout, stderr
	stdin, err := r.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
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
func (p *part) waitReady(ctx context.Context) error {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.ready(ctx) {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.run.exited:
			return fmt.Errorf("%s stopped before it was ready (%s); its last words are above", p.name, p.run.fate())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, context.Cause(ctx))
		}
	}
}

// gone reports whether the process has exited.
func (r *run) gone() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// fate says how an exited process ended.
func (r *run) fate() string {
	if r.err == nil {
		return "exit status 0"
	}
	return r.err.Error()
}

// stopParts asks all parts to stop, waits until the grace is over, and kills
// what is left. It names those that had to be killed.
func stopParts(parts []*part, grace time.Duration) (killed []string) {
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
			killed = append(killed, p.name)
		}
	}
	return killed
}
