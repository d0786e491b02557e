package check

import "etude/traceql/syntax"

// Type is the static type of an expression.
type Type uint8

// The types. Dynamic is the type of an attribute, which is known only for each span.
const (
	Dynamic Type = iota
	Nil
	Int
	Float
	Duration
	String
	Bool
	Status
	Kind
)

// String returns the type's name.
func (t Type) String() string {
	return [...]string{"dynamic", "nil", "int", "float", "duration", "string", "bool", "status", "kind"}[t]
}

func (t Type) numeric() bool { return t == Int || t == Float || t == Duration }

var literalTypes = [...]Type{
	syntax.LitNil: Nil, syntax.LitString: String, syntax.LitInt: Int, syntax.LitFloat: Float,
	syntax.LitDuration: Duration, syntax.LitBool: Bool, syntax.LitStatus: Status, syntax.LitKind: Kind,
}

var intrinsicTypes = map[string]Type{
	syntax.Name: String, syntax.Duration: Duration, syntax.Status: Status, syntax.StatusMessage: String,
	syntax.Kind: Kind, syntax.SpanID: String, syntax.ParentID: String, syntax.ChildCount: Int,
	syntax.TraceDuration: Duration, syntax.RootName: String, syntax.RootService: String, syntax.TraceID: String,
	syntax.EventName: String, syntax.EventTime: Duration, syntax.LinkTraceID: String, syntax.LinkSpanID: String,
	syntax.ScopeName: Dynamic, syntax.ScopeVersion: Dynamic,
	syntax.NestedSetLeft: Int, syntax.NestedSetRight: Int, syntax.NestedSetParent: Int,
}

// typeOf returns the static type of an operation on operands of known types.
func typeOf(op string, l, r Type) Type {
	switch {
	case !arithmetic(op):
		return Bool
	case l != Dynamic:
		return l
	}
	return r
}

func arithmetic(op string) bool {
	switch op {
	case "+", "-", "*", "/", "%", "^":
		return true
	}
	return false
}

// MentionsSpan reports whether an expression reads any property of a span.
func MentionsSpan(f syntax.Field) bool {
	switch f := f.(type) {
	case *syntax.AttrRef, *syntax.Intrinsic:
		return true
	case *syntax.Unary:
		return MentionsSpan(f.X)
	case *syntax.Binary:
		return MentionsSpan(f.L) || MentionsSpan(f.R)
	}
	return false
}
