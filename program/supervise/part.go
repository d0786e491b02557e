package supervise

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Part is one child process of `etude up`.
type Part struct {
	Name     string
	Args     []string
	Env      []string // added to the parent's environment
	Switched []string // added to env by the switches that are on
	Addr     string   // where it listens, for a part that a switch has added
	Ready    func(ctx context.Context) bool
	Unread   bool // the feed leaves out its lines

	run *Run // the process; nil before the first start
}

// Started reports whether the part has been started, and not whether it still runs.
func (p *Part) Started() bool { return p.run != nil }

// Output joins the output of all parts, line by line, each line behind the
// name of its part.
type Output struct {
	mu    sync.Mutex
	out   io.Writer
	width int
	color bool
	seen  map[string]string // name -> colour
	feed  *Feed             // gets every line as well; may be nil
}

// The colours leave out red, which tools use for errors, and the greys.
var partColors = []string{"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[93m"}

// NewOutput joins the output of parts in out, and adds each line to lines.
func NewOutput(out io.Writer, parts []*Part, color bool, lines *Feed) *Output {
	x := &Output{out: out, color: color, feed: lines, seen: map[string]string{}}
	for i, p := range parts {
		x.width = max(x.width, len(p.Name))
		x.seen[p.Name] = partColors[i%len(partColors)]
	}
	return x
}

func (x *Output) writer(p *Part) *lineWriter {
	head := fmt.Sprintf("%-*s | ", x.width, p.Name)
	if x.color {
		head = x.seen[p.Name] + head + "\x1b[0m"
	}
	w := &lineWriter{x: x, part: p.Name, head: head}
	if !p.Unread {
		w.feed = x.feed
	}
	return w
}

// lineWriter passes whole lines on and keeps a partial line until its end comes.
type lineWriter struct {
	x    *Output
	part string
	head string
	feed *Feed // may be nil
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
	w.feed.add(w.part, w.rest)
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
