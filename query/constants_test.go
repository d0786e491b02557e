package query_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"etude/query"
	"etude/traceql/evaltest"
)

// constants are literals by the key of an attribute with the same value. No key is part of another.
var constants = map[string]string{
	"zero": "0", "one": "1", "three": "3", "less": "(-2)", "most": "9223372036854775807", "unit": "1.0", "half": "1.5", "nil0": "0.0", "huge": "1e300",
	"texta": `"a"`, "textb": `"b"`, "text1": `"1"`, "yes": "true", "no": "false",
}

// TestConstants compares expressions of constants with the same expressions of attributes that have these values.
func TestConstants(t *testing.T) {
	t.Parallel()
	line := "a x server ok 1ms 2ms"
	for key, value := range constants {
		line += " " + key + "=" + strings.Trim(value, "()")
	}
	e := query.New(source(evaltest.Forest(t, "trace a\n  "+line, 1)), query.Options{})
	r, holds := rand.New(rand.NewPCG(1, 1)), 0
	for range 3000 {
		text := comparison(r, 2)
		write := func(key func(key string) string) string {
			out := text
			for _, k := range slices.Sorted(maps.Keys(constants)) {
				out = strings.ReplaceAll(out, k, key(k))
			}
			return "{ " + out + " }"
		}
		fixed := write(func(k string) string { return constants[k] })
		read := write(func(k string) string { return "span." + k })
		mixed := write(func(k string) string { return oneOf(r, constants[k], "span."+k, "."+k) })
		want := len(search(t, e, query.Request{Query: fixed}).Traces)
		holds += want
		for _, q := range []string{read, mixed} {
			if got := len(search(t, e, query.Request{Query: q}).Traces); got != want {
				t.Fatalf("%s finds %d traces, %s %d", fixed, want, q, got)
			}
		}
	}
	if holds < 500 || holds > 2500 {
		t.Errorf("%d of 3000 expressions hold", holds)
	}
}

func comparison(r *rand.Rand, depth int) string {
	switch n := r.IntN(12); {
	case depth > 0 && n < 4:
		return "(" + comparison(r, depth-1) + oneOf(r, " && ", " || ") + comparison(r, depth-1) + ")"
	case depth > 0 && n == 4:
		return "!(" + comparison(r, depth-1) + ")"
	case n == 5:
		return "(" + oneOf(r, "yes", "no") + oneOf(r, " = ", " != ") + oneOf(r, "yes", "no") + ")"
	case n < 8:
		return "(" + oneOf(r, "texta", "textb", "text1") + oneOf(r, " = ", " != ", " < ", " >= ") + oneOf(r, "texta", "textb", "text1") + ")"
	}
	return "(" + numbers(r, 2) + oneOf(r, " = ", " != ", " < ", " <= ", " > ", " >= ") + numbers(r, 2) + ")"
}

func numbers(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		return oneOf(r, "", "", "", "-") + "(" + oneOf(r, "zero", "one", "three", "less", "most", "unit", "half", "nil0", "huge") + ")"
	}
	return "(" + numbers(r, depth-1) + oneOf(r, " + ", " - ", " * ", " / ", " % ", " ^ ") + numbers(r, depth-1) + ")"
}
