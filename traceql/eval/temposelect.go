package eval

import (
	"etude/traceql/syntax"
)

// loads lists the fields that Tempo loads for the query being compiled.
type loads struct {
	names    map[string]bool // read so far
	selected bool            // a select() precedes: no further names are loaded
}

// Rule T5: after a select(), only names that the query reads before it are loaded. No
// condition on another name holds, by() groups by nil, an aggregate finds no value.
// has reports whether an attribute or intrinsic is loaded.
func (l *loads) has(name syntax.Field) bool {
	if l.names == nil {
		l.names = map[string]bool{}
	}
	key := syntax.FieldText(name)
	if !l.selected {
		l.names[key] = true
	}
	return l.names[key]
}
