package jsonread

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// read makes objects of what a Reader finds, as encoding/json does.
func read(t testing.TB, r *Reader) any {
	t.Helper()
	switch r.Peek() {
	case '{':
		m := map[string]any{}
		if ok, err := r.Open('{'); !ok || err != nil {
			t.Fatalf("open object: %t, %v", ok, err)
		}
		for r.More() {
			key := r.Key()
			m[key] = read(t, r)
		}
		return m
	case '[':
		list := []any{}
		if ok, err := r.Open('['); !ok || err != nil {
			t.Fatalf("open list: %t, %v", ok, err)
		}
		for r.More() {
			list = append(list, read(t, r))
		}
		return list
	case 'n':
		if ok, err := r.Open('{'); ok || err != nil {
			t.Fatalf("null is opened: %v", err)
		}
		return nil
	case '"':
		s, err := r.String()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	text, err := r.Scalar()
	if err != nil {
		t.Fatal(err)
	}
	switch text {
	case "true":
		return true
	case "false":
		return false
	}
	return json.Number(text)
}

// FuzzReader compares with encoding/json.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"a":[1,-2.5e3,"x\"]}\\",null,true,false,{}],"b":{"\u00e9":"\ud83d\ude00"}}`))
	f.Add([]byte(` [ ] `))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`[1`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var want any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		r, err := New(text)
		if (err == nil) != json.Valid(text) {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil || d.Decode(&want) != nil {
			return
		}
		if !reflect.DeepEqual(plainText(read(t, r)), plainText(want)) {
			t.Fatalf("%q is read as %v, want %v", text, read(t, mustNew(t, text)), want)
		}
		skipped := mustNew(t, text)
		skipped.Skip()
		if c := skipped.Peek(); c != 0 {
			t.Fatalf("%q: %q is left after Skip", text, c)
		}
	})
}

// valid makes one U+FFFD of each stretch that is not UTF-8, where encoding/json makes
// one of each byte.
func valid(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return s
}

func plainText(v any) any {
	switch v := v.(type) {
	case string:
		return valid(v)
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[valid(k)] = plainText(e)
		}
		return out
	case []any:
		for i := range v {
			v[i] = plainText(v[i])
		}
	}
	return v
}

func mustNew(t testing.TB, text []byte) *Reader {
	t.Helper()
	r, err := New(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWrongKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{`1`, "want a string, got the number 1"},
		{`{}`, "want a string, got an object"},
		{`[]`, "want a string, got a list"},
		{`true`, "want a string, got true"},
	} {
		if _, err := mustNew(t, []byte(c.text)).String(); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
	for text, want := range map[string]string{`1.5`: "1.5 is not a whole number of 64 bits", `"1"`: `want a whole number, got the string "1"`, `9223372036854775808`: "9223372036854775808 is not a whole number of 64 bits"} {
		if _, err := mustNew(t, []byte(text)).Int(); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	if n, err := mustNew(t, []byte(`-7`)).Int(); n != -7 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := mustNew(t, []byte(`{}`)).Open('['); err == nil || err.Error() != "want a list, got an object" {
		t.Error(err)
	}
	if _, err := New([]byte(`[1,`)); err == nil || !strings.HasPrefix(err.Error(), "at byte 3: ") {
		t.Error(err)
	}
}
