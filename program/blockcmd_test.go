package program

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The blocks of a real Tempo are good, listed, and taken apart.
func TestBlockCommand(t *testing.T) {
	t.Parallel()
	real := filepath.Join("..", "store", "block", "testdata", "tempo")
	run := func(args ...string) (string, int) {
		var out, errs strings.Builder
		status := Main(append([]string{"block"}, args...), &out, &errs)
		return out.String() + errs.String(), status
	}
	out, status := run("verify", real)
	if status != 0 || strings.Count(out, ": good") != 6 {
		t.Errorf("verify: status %d\n%s", status, out)
	}
	out, status = run("ls", filepath.Join(real, "v5"))
	if status != 0 || !strings.Contains(out, "87164faf-bc26-431f-aa69-ce3aff33be43") || strings.Count(out, "\n") != 2 {
		t.Errorf("ls: status %d\n%s", status, out)
	}
	out, status = run("inspect", filepath.Join(real, "v5"))
	if status != 0 || !strings.Contains(out, "rs.ss.Spans.DedicatedAttributes.String01 (http.request.method) SNAPPY, 492 entries") {
		t.Errorf("inspect: status %d\n%s", status, out)
	}
	bad := filepath.Join(t.TempDir(), "87164faf-bc26-431f-aa69-ce3aff33be43")
	if err := os.CopyFS(bad, os.DirFS(filepath.Join(real, "v5", "single-tenant", filepath.Base(bad)))); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(bad, "bloom-0")); err != nil {
		t.Fatal(err)
	}
	if out, status = run("verify", bad); status != 1 || !strings.Contains(out, "bloom-0") {
		t.Errorf("verify without a bloom filter: status %d\n%s", status, out)
	}
	if out, status = run("ls", t.TempDir()); status != 1 || !strings.Contains(out, "there is no meta.json") {
		t.Errorf("ls of nothing: status %d\n%s", status, out)
	}
}
