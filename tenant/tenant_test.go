package tenant_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"etude/tenant"
)

func TestHeader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", tenant.MaxLength)
	const several = "multiple org IDs present"
	for _, x := range []struct {
		header            []string
		read              string // names joined by a bar
		readErr, writeErr string
	}{
		{nil, "", "no org id", "no org id"},
		{[]string{""}, "", "no org id", "no org id"},
		{[]string{"t1"}, "t1", "", ""},
		{[]string{"t1|t1"}, "t1", "", ""},
		{[]string{"t2|t1|t2"}, "t1|t2", "", several},
		{[]string{"t2", "t1"}, "t1|t2", "", several},
		{[]string{"Az09!-_.*'()"}, "Az09!-_.*'()", "", ""},
		{[]string{"..."}, "...", "", ""},
		{[]string{long}, long, "", ""},
		{[]string{long + "a"}, "", "has 151 bytes, the limit is 150", "has 151 bytes, the limit is 150"},
		{[]string{"."}, "", "'.' is not a name", "'.' is not a name"},
		{[]string{".."}, "", "'..' is not a name", "'..' is not a name"},
		{[]string{"t1|"}, "", "is empty", "is empty"},
		{[]string{"|"}, "", "is empty", "is empty"},
		{[]string{"t/1"}, "", "tenant ID 't/1' contains unsupported character '/'", "tenant ID 't/1' contains unsupported character '/'"},
		{[]string{"a|t 1"}, "", "tenant ID 't 1' contains unsupported character ' '", "unsupported character ' '"},
		{[]string{`t"\`}, "", `unsupported character '"'`, `unsupported character '"'`},
		{[]string{"tén"}, "", "tenant ID 'tén' contains unsupported character 'é'", "unsupported character 'é'"},
		{[]string{"t\x00\xff"}, "", `tenant ID 't\x00\xff' contains unsupported character '\x00'`, `unsupported character '\x00'`},
	} {
		ids, err := tenant.ForRead(x.header)
		if got := strings.Join(ids, "|"); got != x.read || !says(err, x.readErr) {
			t.Errorf("ForRead(%q) = %q, %v; want %q, %q", x.header, got, err, x.read, x.readErr)
		}
		id, err := tenant.ForWrite(x.header)
		if want := x.read; x.writeErr == "" && id != want || x.writeErr != "" && id != "" || !says(err, x.writeErr) {
			t.Errorf("ForWrite(%q) = %q, %v; want %q", x.header, id, err, x.writeErr)
		}
	}
}

func says(err error, want string) bool {
	if err == nil || want == "" {
		return err == nil && want == ""
	}
	var bad *tenant.InvalidError
	return strings.Contains(err.Error(), want) && errors.Is(err, tenant.ErrMissing) != errors.As(err, &bad)
}

func TestContext(t *testing.T) {
	t.Parallel()
	if ids := tenant.Of(t.Context()); ids != nil {
		t.Errorf("without tenants: %q", ids)
	}
	if ids := tenant.Of(tenant.With(t.Context(), "a", "b")); !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("got %q", ids)
	}
}

// FuzzHeader looks for names that pass although readers could not tell them apart
// again, or that say nothing of themselves.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{"", "t1", "t1|t2", "a||b", "t/1", "..", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		ids, err := tenant.ForRead([]string{header})
		if (err == nil) == (len(ids) == 0) {
			t.Fatalf("%q: %q, %v", header, ids, err)
		}
		again, err2 := tenant.ForRead(ids)
		if err == nil && (err2 != nil || !slices.Equal(ids, again)) {
			t.Fatalf("%q: %q, then %q, %v", header, ids, again, err2)
		}
		if err != nil && len(err.Error()) > 4*tenant.MaxLength+100 {
			t.Fatalf("%q: an error of %d bytes", header, len(err.Error()))
		}
	})
}
