package program

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// part is one child process of `etude up`.
type part struct {
	name  string
	args  []string
	env   []string // added to the parent's environment
	ready func(ctx context.Context) bool

	cmd    *exec.Cmd
	stdin  io.Closer // its end tells the child to stop
	exited chan struct{}
	err    error // how it exited; valid once exited is closed
}

// start runs the part as a child of its own process group: a Ctrl-C in the
// terminal must reach the parent alone, which stops the parts in order.
func (p *part) start(executable string, out *prefixer) error {
	p.cmd = exec.Command(executable, p.args...)
	p.cmd.Env = append(append(os.Environ(), supervisedEnv+"=1"), p.env...)
	p.cmd.SysProcAttr = ownGroup()
	stdout, stderr := out.writer(p.name), out.writer(p.name)
	p.cmd.Stdout, p.cmd.Stderr = stdout, stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.stdin, p.exited = stdin, make(chan struct{})
	go func() {
		p.err = p.cmd.Wait()
		stdout.flush()
		stderr.flush()
		close(p.exited)
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
		case <-p.exited:
			return fmt.Errorf("%s stopped before it was ready (%s); its last words are above", p.name, p.fate())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, context.Cause(ctx))
		}
	}
}

// fate says how an exited part ended.
func (p *part) fate() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

// stopParts asks all parts to stop, waits until the grace is over, and kills
// what is left. It names those that had to be killed.
func stopParts(parts []*part, grace time.Duration) (killed []string) {
	for _, p := range parts {
		if p.stdin != nil {
			_ = p.stdin.Close() // the child may be gone already
		}
	}
	over := time.NewTimer(grace)
	defer over.Stop()
	var expired bool
	for _, p := range parts {
		if p.exited == nil {
			continue
		}
		if !expired {
			select {
			case <-p.exited:
				continue
			case <-over.C:
				expired = true
			}
		}
		select {
		case <-p.exited:
		default:
			_ = p.cmd.Process.Kill()
			<-p.exited
			killed = append(killed, p.name)
		}
	}
	return killed
}

// firstExit returns a channel that yields each part as it exits.
func firstExit(parts []*part) <-chan *part {
	out := make(chan *part, len(parts))
	for _, p := range parts {
		go func() {
			<-p.exited
			out <- p
		}()
	}
	return out
}

// prefixer joins the output of all parts, line by line, each line behind the
// name of its part.
type prefixer struct {
	mu    sync.Mutex
	out   io.Writer
	width int
	color bool
	seen  map[string]string // name -> colour
}

// The colours leave out red, which tools use for errors, and the greys.
var partColors = []string{"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[93m"}

func newPrefixer(out io.Writer, parts []*part, color bool) *prefixer {
	x := &prefixer{out: out, color: color, seen: map[string]string{}}
	for i, p := range parts {
		x.width = max(x.width, len(p.name))
		x.seen[p.name] = partColors[i%len(partColors)]
	}
	return x
}

func (x *prefixer) writer(name string) *lineWriter {
	head := fmt.Sprintf("%-*s | ", x.width, name)
	if x.color {
		head = x.seen[name] + head + "\x1b[0m"
	}
	return &lineWriter{x: x, head: head}
}

// lineWriter passes whole lines on and keeps the rest until its end comes.
type lineWriter struct {
	x    *prefixer
	head string
	rest []byte
}

// maxLine bounds what is kept of a line without an end.
const maxLine = 64 << 10

func (w *lineWriter) Write(b []byte) (int, error) {
	w.x.mu.Lock()
	defer w.x.mu.Unlock()
	var out []byte
	for _, c := range b {
		w.rest = append(w.rest, c)
		if c == '\n' || len(w.rest) >= maxLine {
			out = w.take(out)
		}
	}
	if len(out) > 0 {
		if _, err := w.x.out.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (w *lineWriter) take(out []byte) []byte {
	out = append(append(out, w.head...), w.rest...)
	if w.rest[len(w.rest)-1] != '\n' {
		out = append(out, '\n')
	}
	w.rest = w.rest[:0]
	return out
}

// flush writes a last line that has no end.
func (w *lineWriter) flush() {
	w.x.mu.Lock()
	defer w.x.mu.Unlock()
	if len(w.rest) > 0 {
		_, _ = w.x.out.Write(w.take(nil))
	}
}
