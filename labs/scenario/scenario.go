package scenario

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Limits of a drawing.
const (
	maxDrawing = 1 << 20
	maxSpans   = 10_000
)

// Options set the time of the traces and the source of their ids.
type Options struct {
	Now  time.Time
	Rand *rand.Rand // makes the ids
}

// Drawn is the content of a drawing.
type Drawn struct {
	Data   *tracepb.TracesData
	Traces map[string]string // ids, in hex without leading zeros, by the traces' names
	Spans  map[string]string // ids, in hex, by the spans' labels
}

// Draw parses a drawing. Its errors name the line.
func Draw(text string, o Options) (*Drawn, error) {
	if len(text) > maxDrawing {
		return nil, fmt.Errorf("a drawing of %d bytes, at most %d are allowed", len(text), maxDrawing)
	}
	p := &pen{Options: o, drawn: &Drawn{Data: &tracepb.TracesData{}, Traces: map[string]string{}, Spans: map[string]string{}}, labels: map[string]*tracepb.Span{}, scopes: map[string]*tracepb.ScopeSpans{}}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ## ")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "##") {
			continue
		}
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if p.spans == 0 {
		return nil, errors.New("the drawing has no spans")
	}
	return p.drawn, p.link()
}

// pen draws one line after the other.
type pen struct {
	Options
	drawn  *Drawn
	trace  []byte
	zero   time.Time
	above  []branch // the spans above the next line, outermost first
	spans  int
	labels map[string]*tracepb.Span
	links  []pending
	scopes map[string]*tracepb.ScopeSpans // by resource and scope
}

type branch struct {
	indent int
	id     []byte
}

// pending is a link to a label that may be drawn later.
type pending struct {
	from *tracepb.Span
	to   string
}

func (p *pen) line(line string) error {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	words, err := split(line)
	if err != nil {
		return err
	}
	if words[0] == "trace" {
		return p.begin(words[1:])
	}
	if p.trace == nil {
		return errors.New("a span before the first \"trace NAME\"")
	}
	times := 1
	if len(words) > 2 && words[1] == "x" {
		if times, err = strconv.Atoi(words[0]); err != nil || times < 1 || times > maxSpans {
			return fmt.Errorf("%q is not a number of spans", words[0])
		}
		words = words[2:]
	}
	for len(p.above) > 0 && p.above[len(p.above)-1].indent >= indent {
		p.above = p.above[:len(p.above)-1]
	}
	var span *tracepb.Span
	for i := range times {
		if span, err = p.span(words, i); err != nil {
			return err
		}
	}
	p.above = append(p.above, branch{indent, span.SpanId})
	return nil
}

func (p *pen) begin(words []string) error {
	p.zero, p.above = p.Now, nil
	switch {
	case len(words) == 1:
	case len(words) == 3 && words[1] == "at":
		at, err := time.ParseDuration(words[2])
		if err != nil {
			return fmt.Errorf("%q is not a time such as -30s", words[2])
		}
		p.zero = p.Now.Add(at)
	default:
		return errors.New("want: trace NAME, or trace NAME at -30s")
	}
	p.trace = p.id(16)
	p.drawn.Traces[words[0]] = strings.TrimLeft(fmt.Sprintf("%x", p.trace), "0")
	return nil
}

func (p *pen) id(size int) []byte {
	id := make([]byte, 0, 16)
	for len(id) < size {
		id = binary.BigEndian.AppendUint64(id, p.Rand.Uint64()|1)
	}
	return id
}

// span draws one span; nth counts equal spans.
func (p *pen) span(words []string, nth int) (*tracepb.Span, error) {
	if p.spans++; p.spans > maxSpans {
		return nil, fmt.Errorf("more than %d spans", maxSpans)
	}
	if len(words) < 4 {
		return nil, errors.New("want: START END SERVICE NAME, then words")
	}
	start, startErr := time.ParseDuration(words[0])
	end, endErr := time.ParseDuration(words[1])
	if startErr != nil || endErr != nil || end < start {
		return nil, fmt.Errorf("%s %s: want start and end, such as 5ms 20ms", words[0], words[1])
	}
	later := time.Duration(nth) * (end - start)
	span := &tracepb.Span{TraceId: p.trace, SpanId: p.id(8), Name: words[3], Kind: tracepb.Span_SPAN_KIND_INTERNAL, Status: &tracepb.Status{},
		StartTimeUnixNano: p.at(start + later), EndTimeUnixNano: p.at(end + later)}
	if n := len(p.above); n > 0 {
		span.ParentSpanId = p.above[n-1].id
	}
	place := place{service: words[2]}
	for _, w := range words[4:] {
		if err := p.word(span, &place, w); err != nil {
			return nil, err
		}
	}
	p.put(span, place)
	return span, nil
}

func (p *pen) at(d time.Duration) uint64 { return uint64(p.zero.Add(d).UnixNano()) }

// place is a span's resource and scope.
type place struct {
	service, scope string
	resource       []*commonpb.KeyValue
}

func (p *pen) put(span *tracepb.Span, at place) {
	key := fmt.Sprintf("%q %q %v", at.service, at.scope, at.resource)
	scope := p.scopes[key]
	if scope == nil {
		scope = &tracepb.ScopeSpans{Scope: &commonpb.InstrumentationScope{Name: at.scope}}
		p.scopes[key] = scope
		p.drawn.Data.ResourceSpans = append(p.drawn.Data.ResourceSpans, &tracepb.ResourceSpans{
			Resource:   &resourcepb.Resource{Attributes: append([]*commonpb.KeyValue{attribute("service.name", `"`+at.service+`"`)}, at.resource...)},
			ScopeSpans: []*tracepb.ScopeSpans{scope}})
	}
	scope.Spans = append(scope.Spans, span)
}

var spanKinds = map[string]tracepb.Span_SpanKind{"server": tracepb.Span_SPAN_KIND_SERVER, "client": tracepb.Span_SPAN_KIND_CLIENT,
	"producer": tracepb.Span_SPAN_KIND_PRODUCER, "consumer": tracepb.Span_SPAN_KIND_CONSUMER, "internal": tracepb.Span_SPAN_KIND_INTERNAL}

// word applies one of the words after the name.
func (p *pen) word(span *tracepb.Span, at *place, w string) error {
	key, value, isPair := strings.Cut(w, "=")
	switch kind, isKind := spanKinds[w]; {
	case isKind:
		span.Kind = kind
	case w == "ok":
		span.Status.Code = tracepb.Status_STATUS_CODE_OK
	case key == "error":
		span.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_ERROR, Message: unquoted(value)}
	case w == "orphan":
		span.ParentSpanId = p.id(8)
	case strings.HasPrefix(w, "#"):
		p.labels[w[1:]] = span
		p.drawn.Spans[w[1:]] = fmt.Sprintf("%x", span.SpanId)
	case !isPair || key == "":
		return fmt.Errorf("the word %q has no meaning here", w)
	case key == "scope":
		at.scope = unquoted(value)
	case key == "link":
		p.links = append(p.links, pending{span, value})
	case key == "skew":
		skew, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%q is not a skew such as 5s", value)
		}
		span.StartTimeUnixNano += uint64(skew)
		span.EndTimeUnixNano += uint64(skew)
	case key == "event":
		return p.event(span, value)
	case strings.HasPrefix(key, "resource."):
		at.resource = append(at.resource, attribute(strings.TrimPrefix(key, "resource."), value))
	default:
		span.Attributes = append(span.Attributes, attribute(key, value))
	}
	return nil
}

// event parses "name"@100ms.
func (p *pen) event(span *tracepb.Span, text string) error {
	name, when, ok := strings.Cut(text, "@")
	at, err := time.ParseDuration(when)
	if !ok || err != nil {
		return fmt.Errorf("event=%s: want \"name\"@100ms", text)
	}
	span.Events = append(span.Events, &tracepb.Span_Event{Name: unquoted(name), TimeUnixNano: p.at(at)})
	return nil
}

// link resolves the links after all labels have been drawn.
func (p *pen) link() error {
	for _, l := range p.links {
		to := p.labels[l.to]
		if to == nil {
			return fmt.Errorf("link=%s: no span has that label", l.to)
		}
		l.from.Links = append(l.from.Links, &tracepb.Span_Link{TraceId: to.TraceId, SpanId: to.SpanId})
	}
	return nil
}

// attribute keeps the type of numbers and of true and false; quotes make text.
func attribute(key, value string) *commonpb.KeyValue {
	v := &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: unquoted(value)}}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		v.Value = &commonpb.AnyValue_IntValue{IntValue: n}
	} else if value == "true" || value == "false" {
		v.Value = &commonpb.AnyValue_BoolValue{BoolValue: value == "true"}
	} else if f, err := strconv.ParseFloat(value, 64); err == nil && strings.Contains(value, ".") {
		v.Value = &commonpb.AnyValue_DoubleValue{DoubleValue: f}
	}
	return &commonpb.KeyValue{Key: key, Value: v}
}

func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// split splits a line at blanks outside quotes. It removes quotes around a whole word. Quotes inside a word
// stay, because attribute recognizes text by them.
func split(line string) (words []string, err error) {
	quoted, from := false, -1
	for i := 0; i <= len(line); i++ {
		switch {
		case i == len(line) && quoted:
			return nil, errors.New("a quote is not closed")
		case i == len(line) || line[i] == ' ' && !quoted:
			if from >= 0 {
				words = append(words, unquoted(line[from:i]))
			}
			from = -1
		default:
			if line[i] == '"' {
				quoted = !quoted
			}
			if from < 0 {
				from = i
			}
		}
	}
	return words, nil
}
