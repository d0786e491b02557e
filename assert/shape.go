package assert

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Shape describes the traces of a run without ids and times: which spans call which, and how often. Its text
// has one line for each kind of trace, and below it one line for each span, indented by depth. Equal siblings
// share one line with a count.
//
//	2 traces
//	  uservice3 handle_incoming_call server
//	    uservice3 redis_call internal
//	      3 x uservice4 handle_incoming_call server
type Shape struct{ text string }

// shapeHead is the first line of a file.
const shapeHead = "# etude shape 1: spans, their parents and counts; `etude test --update` writes this file"

// ReadShape parses the text that String returns.
func ReadShape(data []byte) (Shape, error) {
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	if first, _, _ := strings.Cut(text, "\n"); first != shapeHead {
		return Shape{}, fmt.Errorf("the first line is %q, want %q; write the file again with --update", cut(first, 80), shapeHead)
	}
	return Shape{text}, nil
}

// String returns the text.
func (s Shape) String() string { return s.text }

// ShapeOf returns the shape of traces.
func ShapeOf(traces []*Trace) Shape {
	counts := map[string]int{}
	for _, t := range traces {
		counts[t.tree()]++
	}
	var b strings.Builder
	b.WriteString(shapeHead + "\n")
	for _, tree := range sortedKeys(counts) {
		b.WriteString("\n" + plural(counts[tree], "trace") + "\n" + tree)
	}
	return Shape{b.String()}
}

// maxDepth limits the depth of spans that a shape shows.
const maxDepth = 200

// tree returns the spans as lines. It sorts siblings by their text, because their times may differ between
// runs.
func (t *Trace) tree() string {
	children := map[string][]*Span{}
	for _, s := range t.Spans {
		parent := s.Parent
		if t.ParentOf(s) == nil {
			parent = ""
		}
		children[parent] = append(children[parent], s)
	}
	return joinTrees(t.below("", 1, children))
}

// below returns the lines of each child of a span.
func (t *Trace) below(id string, depth int, children map[string][]*Span) (trees []string) {
	if depth > maxDepth {
		return []string{strings.Repeat("  ", maxDepth) + "...\n"}
	}
	for _, s := range children[id] {
		line := s.String() + " " + s.Kind
		if s.Status == "error" {
			line += " error"
		}
		if depth == 1 && s.Parent != "" {
			line += " (its parent was not received)"
		}
		trees = append(trees, strings.Repeat("  ", depth)+line+"\n"+joinTrees(t.below(s.ID, depth+1, children)))
	}
	return trees
}

// joinTrees sorts the trees, and merges equal ones with a count in front.
func joinTrees(trees []string) string {
	slices.Sort(trees)
	var b strings.Builder
	for i := 0; i < len(trees); {
		n := 1
		for i+n < len(trees) && trees[i+n] == trees[i] {
			n++
		}
		indent := len(trees[i]) - len(strings.TrimLeft(trees[i], " "))
		if n > 1 {
			fmt.Fprintf(&b, "%s%d x %s", trees[i][:indent], n, trees[i][indent:])
		} else {
			b.WriteString(trees[i])
		}
		i += n
	}
	return b.String()
}

// Traces returns the traces that a search found.
func Traces(ctx context.Context, source Source, found []Match) (traces []*Trace, err error) {
	for _, m := range found {
		t, err := source.Trace(ctx, m.TraceID)
		if err != nil {
			return nil, err
		}
		traces = append(traces, t)
	}
	return traces, nil
}

// Difference compares a shape with an earlier one, as lines: "-" before, "+" now. It returns "" when they are
// equal.
func (s Shape) Difference(was Shape) string {
	if s.text == was.text {
		return ""
	}
	return diff(strings.Split(strings.TrimSuffix(was.text, "\n"), "\n"), strings.Split(strings.TrimSuffix(s.text, "\n"), "\n"))
}

// maxDiff limits the lines that are compared with each other, because the time grows with the product of both
// numbers.
const maxDiff = 1500

// context3 is the number of equal lines shown around a difference.
const context3 = 3

// diff writes the longest common lines once and marks the others.
func diff(old, now []string) string {
	front := 0
	for front < min(len(old), len(now)) && old[front] == now[front] {
		front++
	}
	back := 0
	for back < min(len(old), len(now))-front && old[len(old)-1-back] == now[len(now)-1-back] {
		back++
	}
	a, b := old[front:len(old)-back], now[front:len(now)-back]
	var lines []string
	for _, l := range old[max(0, front-context3):front] {
		lines = append(lines, "  "+l)
	}
	if len(a) > maxDiff || len(b) > maxDiff {
		lines = append(lines, marked("- ", a)...)
		lines = append(lines, marked("+ ", b)...)
	} else {
		lines = append(lines, common(a, b)...)
	}
	for _, l := range old[len(old)-back : len(old)-back+min(back, context3)] {
		lines = append(lines, "  "+l)
	}
	return strings.Join(lines, "\n") + "\n"
}

func marked(mark string, lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = mark + l
	}
	return out
}

// common computes the longest common subsequence with the classic table.
func common(a, b []string) (lines []string) {
	width := len(b) + 1
	longest := make([]int32, (len(a)+1)*width)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i*width+j] = longest[(i+1)*width+j+1] + 1
			} else {
				longest[i*width+j] = max(longest[(i+1)*width+j], longest[i*width+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			lines = append(lines, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[(i+1)*width+j] >= longest[i*width+j+1]:
			lines = append(lines, "- "+a[i])
			i++
		default:
			lines = append(lines, "+ "+b[j])
			j++
		}
	}
	return lines
}

func cut(s string, most int) string {
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
