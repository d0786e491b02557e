package syntax

import "fmt"

// Pos is a position in a query. Line and Col count from 1; Col counts characters, not bytes. Offset is the byte
// offset from 0.
type Pos struct {
	Offset, Line, Col int
}

func (p Pos) String() string { return fmt.Sprintf("line %d, col %d", p.Line, p.Col) }

// kind is a class of token. Every operator and bracket is its own kind, whose name is its spelling.
type kind string

const (
	kEOF    kind = "end of query"
	kWord   kind = "word"
	kAttr   kind = "attribute"
	kScope  kind = "scope" // `span:` and similar, before an intrinsic
	kString kind = "string"
	kInt    kind = "integer"
	kFloat  kind = "number"
	kDur    kind = "duration"
)

// token is one lexical element. Only the fields of its kind are set.
type token struct {
	kind  kind
	text  string // as written
	pos   Pos
	str   string  // kString: the value; kAttr: the name; kScope: the scope without the colon
	num   int64   // kInt, kDur (nanoseconds)
	float float64 // kFloat
	attr  Attr    // kAttr
}

// describe names the token in an error message.
func (t token) describe() string {
	switch t.kind {
	case kEOF:
		return "end of query"
	case kString:
		return "string " + t.text
	}
	return fmt.Sprintf("%q", t.text)
}

// operators has every token made of punctuation. The scanner extends a token while the longer text is in this
// set, so the set decides the longest match: "!>=" is "!>" and "=".
var operators = map[string]bool{
	"{": true, "}": true, "(": true, ")": true, ",": true,
	"=": true, "!=": true, "<": true, "<=": true, ">": true, ">=": true, "=~": true, "!~": true,
	"+": true, "-": true, "*": true, "/": true, "%": true, "^": true,
	"&&": true, "||": true, "!": true, "|": true,
	">>": true, "<<": true, "~": true,
	"!>": true, "!>>": true, "!<": true, "!<<": true,
	"&>": true, "&>>": true, "&<": true, "&<<": true, "&~": true,
}

// dotScopes has the words that begin an attribute when a dot follows.
var dotScopes = map[string]Scope{
	"span": ScopeSpan, "resource": ScopeResource, "event": ScopeEvent,
	"link": ScopeLink, "instrumentation": ScopeInstrumentation,
}

// colonScopes has the words that begin an intrinsic when a colon follows.
var colonScopes = map[string]bool{
	"span": true, "trace": true, "event": true, "link": true, "instrumentation": true,
}

// reserved words cannot name a hint. They are special only where a token may start: after an attribute prefix
// every word is a name.
var reserved = wordSet(
	"true", "false", "nil", "error", "ok", "unset",
	"unspecified", "internal", "server", "client", "producer", "consumer",
	"duration", "name", "status", "statusMessage", "kind", "childCount", "id", "parentID",
	"traceID", "spanID", "timeSinceStart", "version", "rootName", "rootService",
	"rootServiceName", "traceDuration", "nestedSetLeft", "nestedSetRight", "nestedSetParent", "parent",
	"by", "select", "coalesce", "count", "min", "max", "avg", "sum",
	"rate", "count_over_time", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time",
	"quantile_over_time", "histogram_over_time", "compare", "topk", "bottomk", "with",
)

func wordSet(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}
