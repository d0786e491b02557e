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
	Switched []string // added to Env by the active switches
	Addr     string   // its address, for a part that a switch has added
	Ready    func(ctx context.Context) bool
	Unread   bool // whether the feed leaves out its lines

	run *Run // the process; nil before the first start
}

// Started reports whether the part was ever started; it may have exited since.
func (p *Part) Started() bool { return p.run != nil }

// Output joins the output of all parts line by line, each line after the name of its part.
type Output struct {
	mu    sync.Mutex
	out   io.Writer
	width int
	color bool
	seen  map[string]string // name -> colour
	feed  *Feed             // also gets every line; may be nil
}

// No red, which tools use for errors, and no greys.
var partColors = []string{"\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m", "\x1b[96m", "\x1b[93m"}

// NewOutput writes the joined output of parts to out, and adds each line to lines.
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

// lineWriter passes on whole lines and keeps a partial line until its end arrives.
type lineWriter struct {
	x    *Output
	part string
	head string
	feed *Feed // may be nil
	line []byte
}

// maxLine limits the part kept of a line without an end.
const maxLine = 64 << 10

func (w *lineWriter) Write(b []byte) (int, error) {
	w.x.mu.Lock()
	defer w.x.mu.Unlock()
	var out []byte
	for _, c := range b {
		w.line = append(w.line, c)
		if c == '\n' || len(w.line) >= maxLine {
			out = w.appendLine(out)
		}
	}
	if len(out) > 0 {
		if _, err := w.x.out.Write(out); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func (w *lineWriter) appendLine(out []byte) []byte {
	out = append(append(out, w.head...), w.line...)
	if w.line[len(w.line)-1] != '\n' {
		out = append(out, '\n')
	}
	w.feed.add(w.part, w.line)
	w.line = w.line[:0]
	return out
}

// flush writes a last line that has no end.
func (w *lineWriter) flush() {
	w.x.mu.Lock()
	defer w.x.mu.Unlock()
	if len(w.line) > 0 {
		_, _ = w.x.out.Write(w.appendLine(nil))
	}
}
