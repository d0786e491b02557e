package eval

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"etude/trace"
	"etude/traceql/evaltest"
)

// This file is the language once more, as its rules say it and without any
// thought of speed: loops over plain structs. It shares no code with the
// evaluator that it is compared with; property_test.go does that.

// plainValue is nil, int64, float64, string, bool or a slice []plainValue.
type plainValue any

type plainSpan struct {
	trace        int
	id, parent   int // parent 0: none
	name, kind   string
	status       string
	service      string // "" for none
	start, ms    int    // milliseconds
	attrs, ofRes map[string]plainValue
	events       []plainEvent
}

type plainEvent struct {
	name  string
	attrs map[string]plainValue
}

// plainTrace is the spans of one trace in stored order.
type plainTrace []*plainSpan

// clientOf returns the one client span that shares its id with a server span.
func (t plainTrace) clientOf(s *plainSpan) (client *plainSpan) {
	same := 0
	for _, o := range t {
		if o.id == s.id {
			if same++; o.kind == "client" {
				client = o
			}
		}
	}
	if s.kind != "server" || same != 2 {
		return nil
	}
	return client
}

// parentOf returns the parent in the trace, or nil. Of a client and a server
// with one id a server span belongs to the client and any other to the server.
func (t plainTrace) parentOf(s *plainSpan) *plainSpan {
	var found []*plainSpan
	for _, p := range t {
		if s.parent != 0 && p.id == s.parent {
			found = append(found, p)
		}
	}
	if client := t.clientOf(s); client != nil {
		return client
	}
	if len(found) == 0 || s.parent == s.id {
		return nil
	}
	if len(found) > 1 {
		for _, p := range found[:2] { // of three or more the first two matter
			if (p.kind == "server") != (s.kind == "server") {
				return p
			}
		}
	}
	return found[0]
}

// path returns the span, its parent and so on up to the first one whose parent is
// not in the trace, or up to the first one in stored order of a circle.
func (t plainTrace) path(s *plainSpan) (path []*plainSpan, circle bool) {
	for at := s; at != nil; at = t.parentOf(at) {
		path = append(path, at)
		if len(path) > 2*len(t) {
			first := slices.MinFunc(path[len(t):], func(a, b *plainSpan) int {
				return slices.Index(t, a) - slices.Index(t, b)
			})
			return path[:slices.Index(path, first)+1], true
		}
	}
	return path, false
}

// rooted reports whether a span is below a root, in a trace of which at most two
// spans share an id.
func (t plainTrace) rooted(s *plainSpan) bool {
	for _, a := range t {
		same := 0
		for _, b := range t {
			if a.id == b.id {
				same++
			}
		}
		if same > 2 {
			return false
		}
	}
	path, circle := t.path(s)
	return !circle && path[len(path)-1].parent == 0
}

// related reports whether l op r holds for the plain relations.
func (t plainTrace) related(op string, l, r *plainSpan) bool {
	pl, circleL := t.path(l)
	pr, circleR := t.path(r)
	if l == r {
		return false
	}
	switch op {
	case ">":
		return len(pr) > 1 && pr[1] == l
	case ">>":
		return slices.Contains(pr[1:], l)
	case "<", "<<":
		return t.related(map[string]string{"<": ">", "<<": ">>"}[op], r, l)
	}
	if len(pl) == 1 || len(pr) == 1 { // siblings: roots, or of one parent that is not there
		return len(pl) == len(pr) && l.parent == r.parent && !circleL && !circleR
	}
	return pl[1] == pr[1]
}

// plainCond is a condition: leaf, or and, or, not of others.
type plainCond struct {
	op    string // "", "&&", "||", "!"
	parts []*plainCond
	event bool // test is about an event
	fixed bool // true or false for every span
	test  func(t plainTrace, s *plainSpan, e *plainEvent) bool
}

// inner decides a part of a condition: there every test of an event means
// itself.
func (c *plainCond) inner(t plainTrace, s *plainSpan) bool {
	switch c.op {
	case "&&":
		return c.parts[0].inner(t, s) && c.parts[1].inner(t, s)
	case "||":
		return c.parts[0].inner(t, s) || c.parts[1].inner(t, s)
	case "!":
		return !c.parts[0].inner(t, s)
	}
	return holdsOnOneEvent([]*plainCond{c}, t, s)
}

// filter decides the condition of a whole filter. In a pure chain of && all
// tests of events are about one and the same event.
func (c *plainCond) filter(t plainTrace, s *plainSpan) bool {
	if flat := c.flat(); flat != nil {
		return holdsOnOneEvent(flat, t, s)
	}
	return c.inner(t, s)
}

// flat returns the leaves of a pure chain of &&, or nil.
func (c *plainCond) flat() (out []*plainCond) {
	switch c.op {
	case "":
		return []*plainCond{c}
	case "&&":
		l, r := c.parts[0].flat(), c.parts[1].flat()
		if l != nil && r != nil {
			return append(l, r...)
		}
	}
	return nil
}

func holdsOnOneEvent(leaves []*plainCond, t plainTrace, s *plainSpan) bool {
	events := false
	var joint []*plainCond
	for _, c := range leaves {
		joint = append(joint, c)
		events = events || c.event
		if !c.event && !c.test(t, s, nil) {
			return false
		}
	}
	if !events {
		return true
	}
	for i := range s.events {
		all := true
		for _, c := range joint {
			all = all && (!c.event || c.test(t, s, &s.events[i]))
		}
		if all {
			return true
		}
	}
	return false
}

// plainCompare applies op to a value and a literal, of an array some element has
// to satisfy it. Numbers compare as numbers; other types meet their own only.
func plainCompare(v plainValue, op string, lit plainValue) bool {
	if l, ok := lit.(int64); ok {
		if _, ok := v.(float64); ok {
			lit = float64(l)
		}
	}
	switch v := v.(type) {
	case []plainValue:
		return slices.ContainsFunc(v, func(e plainValue) bool { return plainCompare(e, op, lit) })
	case int64:
		if l, ok := lit.(float64); ok {
			return plainOrdered(op, float64(v), l)
		}
		l, ok := lit.(int64)
		return ok && plainOrdered(op, v, l)
	case float64:
		l, ok := lit.(float64)
		return ok && plainOrdered(op, v, l)
	case string:
		l, ok := lit.(string)
		return ok && plainOrdered(op, v, l)
	case bool:
		l, ok := lit.(bool)
		return ok && (op == "=" && v == l || op == "!=" && v != l)
	}
	return false
}

func plainOrdered[T int64 | float64 | string](op string, a, b T) bool {
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	}
	return a >= b
}

// plainStage maps sets of spans to sets of spans.
type plainStage func(t plainTrace, in []plainTrace) []plainTrace

// plainNode picks spans out of a set.
type plainNode func(t, in plainTrace) plainTrace

func plainFilter(c *plainCond) plainNode {
	return func(t, in plainTrace) (out plainTrace) {
		for _, s := range in {
			if c.filter(t, s) {
				out = append(out, s)
			}
		}
		return out
	}
}

func plainOp(op string, l, r plainNode) plainNode {
	return func(t, in plainTrace) plainTrace {
		left, right := l(t, in), r(t, in)
		switch {
		case op == "&&" && (len(left) == 0 || len(right) == 0):
			return nil
		case op == "&&" || op == "||":
			return inOrder(in, append(slices.Clone(left), right...))
		}
		return inOrder(in, plainStructural(t, op, left, right))
	}
}

func plainStructural(t plainTrace, op string, left, right plainTrace) (out plainTrace) {
	switch op {
	case "&>>":
		return plainLineages(t, left, right)
	case "&<<":
		return plainLineages(t, right, left)
	}
	relation := strings.TrimLeft(op, "!&")
	for _, r := range right {
		paired := false
		for _, l := range left {
			if t.related(relation, l, r) {
				paired = true
				if op[0] == '&' {
					out = append(out, l)
				}
			}
		}
		if paired != (op[0] == '!') {
			out = append(out, r)
		}
	}
	return out
}

// inOrder returns the spans that are in set, each once, in stored order.
func inOrder(all, set plainTrace) (out plainTrace) {
	for _, s := range all {
		if slices.Contains(set, s) {
			out = append(out, s)
		}
	}
	return out
}

func plainSpanset(n plainNode) plainStage {
	return func(t plainTrace, in []plainTrace) (out []plainTrace) {
		for _, set := range in {
			if picked := n(t, set); len(picked) > 0 {
				out = append(out, picked)
			}
		}
		return out
	}
}

// plainKeep keeps the sets that pass a test.
func plainKeep(test func(set plainTrace) bool) plainStage {
	return func(_ plainTrace, in []plainTrace) (out []plainTrace) {
		for _, set := range in {
			if test(set) {
				out = append(out, set)
			}
		}
		return out
	}
}

func plainBy(value func(s *plainSpan) plainValue) plainStage {
	return func(_ plainTrace, in []plainTrace) (out []plainTrace) {
		for _, set := range in {
			groups := map[string]plainTrace{}
			for _, s := range set {
				key := fmt.Sprintf("%T %#v", value(s), value(s))
				groups[key] = append(groups[key], s)
			}
			for _, g := range groups {
				out = append(out, g)
			}
		}
		return out
	}
}

func plainCoalesce(t plainTrace, in []plainTrace) []plainTrace {
	if len(in) == 0 {
		return nil
	}
	return []plainTrace{inOrder(t, slices.Concat(in...))}
}

// plainViews writes the traces into Views, the spans of each spread over all.
func plainViews(t testing.TB, traces []plainTrace, tables int) (views []*trace.View) {
	all := make([]*trace.Table, tables)
	for i := range all {
		all[i] = trace.NewTable()
	}
	for n, tr := range traces {
		for i, s := range tr {
			span := trace.Span{TraceID: trace.TraceID{15: byte('a' + n)}, SpanID: evaltest.SpanID(s.id)}
			if s.parent != 0 {
				span.Parent = evaltest.SpanID(s.parent)
			}
			evaltest.AddSpan(t, all[i*tables/len(tr)], span, s.fields())
		}
	}
	for _, table := range all {
		views = append(views, table.View())
	}
	return views
}

// fields is the span in the text form of TestEval.
func (s *plainSpan) fields() []string {
	service := s.service
	if service == "" {
		service = "-"
	}
	f := []string{s.name, service, s.kind, s.status, strconv.Itoa(s.start) + "ms", strconv.Itoa(s.ms) + "ms"}
	f = append(f, plainAttrs("", s.attrs)...)
	f = append(f, plainAttrs("r:", s.ofRes)...)
	for _, e := range s.events {
		f = append(f, "@"+e.name+"+1ms("+strings.Join(plainAttrs("", e.attrs), ",")+")")
	}
	return f
}

func plainAttrs(prefix string, attrs map[string]plainValue) (out []string) {
	for _, key := range []string{"n", "s", "http.url"} {
		if v, ok := attrs[key]; ok {
			out = append(out, prefix+key+"="+plainText(v))
		}
	}
	return out
}

func plainText(v plainValue) string {
	switch v := v.(type) {
	case []plainValue:
		var parts []string
		for _, e := range v {
			parts = append(parts, plainText(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case float64:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}
