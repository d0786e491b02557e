package generator

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

func TestLabelName(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"http.method": "http_method", "größe": "gr__e", "service": "__service", "span_name": "__span_name", "span.name": "__span_name",
		"9lives": "9lives", "": "", strings.Repeat("a", maxName+1): strings.Repeat("a", maxName),
	} {
		if got := labelName(key, intrinsics...); got != want {
			t.Errorf("labelName(%.20q) = %.20q, want %.20q", key, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aéb", 2, "a"}, {"aé", 3, "aé"}, {"a€b", 3, "a"}, {"\xff\xff\xff", 2, "\xff\xff"}, {"", 0, ""}} {
		if got := cut(test.text, test.n); got != test.want {
			t.Errorf("cut(%q, %d) = %q, want %q", test.text, test.n, got, test.want)
		}
	}
}

func TestNestedValues(t *testing.T) {
	t.Parallel()
	list := &common.AnyValue{Value: &common.AnyValue_KvlistValue{KvlistValue: &common.KeyValueList{Values: []*common.KeyValue{
		{Key: "k", Value: anyOf("v")}, {Key: "n", Value: anyOf("[1,2.5,true,x]")}, {Key: "none"},
		{Key: "bytes", Value: &common.AnyValue{Value: &common.AnyValue_BytesValue{BytesValue: []byte("secret")}}}}}}}
	if got, want := anyText(t, list), "{k:vn:[12.5truex]none:bytes:}"; got != want {
		t.Errorf("list is %q, want %q", got, want)
	}
	deep := anyOf("x")
	for range 40 {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	if got, want := anyText(t, deep), strings.Repeat("[", maxDepth+1)+strings.Repeat("]", maxDepth+1); got != want {
		t.Errorf("deep array is %q, want %q", got, want)
	}
}

func anyText(t testing.TB, v *common.AnyValue) string {
	message, err := proto.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(appendAny(nil, string(message), 0))
}

// FuzzAnyText: any bytes have a text, which is not longer than a small multiple of
// them; a plain string has itself.
func FuzzAnyText(f *testing.F) {
	for _, text := range []string{"a", "[1,2]", "true", "2.5"} {
		message, err := proto.Marshal(anyOf(text))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		text := appendAny(nil, string(message), 0)
		if len(text) > 400*(len(message)+1) {
			t.Errorf("%d bytes of text from %d", len(text), len(message))
		}
		if plain := string(message); utf8.ValidString(plain) {
			if got := anyText(t, &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: plain}}); got != plain {
				t.Errorf("text %q of %q", got, plain)
			}
		}
	})
}

func TestTracestateWeight(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]float64{
		"ot=th:8": 2, "ot=th:c": 4, "ot=th:0": 1, "a=b, ot=rv:ffffffffffffff;th:c0": 4, "ot=th:ffffffffffffff": 1 << 56,
		"": 0, "ot=": 0, "ot=th:": 0, "ot=th:x": 0, "ot=th:fffffffffffffff": 0, "ot=th:000000000000000": 0, "xot=th:8": 0,
	} {
		got, ok := tracestateWeight(state)
		if got != want || ok != (want > 0) {
			t.Errorf("weight of %q is %v, %v, want %v", state, got, ok, want)
		}
	}
}

func FuzzTracestateWeight(f *testing.F) {
	f.Add("a=b,ot=rv:1;th:8")
	f.Fuzz(func(t *testing.T, state string) {
		if w, ok := tracestateWeight(state); ok && !(w >= 1 && w <= 1<<56) || !ok && w != 0 || math.IsNaN(w) {
			t.Errorf("weight of %q is %v, %v", state, w, ok)
		}
	})
}
