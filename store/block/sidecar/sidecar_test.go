package sidecar

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"etude/trace"
)

// FuzzSidecar decodes sidecars, and the frames that they point to.
func FuzzSidecar(f *testing.F) {
	names, err := filepath.Glob(filepath.Join("..", "testdata", "own", "*", "*", "etude.sidecar"))
	if err != nil || len(names) == 0 {
		f.Fatalf("find sidecars: %d found, %v", len(names), err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		stamp, groups := stampOf(data)
		if _, err := Parse(data, stamp, groups); err != nil {
			f.Fatalf("%s: %v", name, err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := sidecarReader{b: data}
		var facts Facts
		if r.part(&facts) == nil {
			facts.Has(trace.TraceID{1})
			facts.Excludes(&trace.Condition{Key: "k"})
			name := trace.Condition{Of: trace.Names, Texts: []string{"n"}}
			facts.ExcludesBoth(&name, &trace.Condition{Key: "k", Bounded: true})
			facts.ExcludesBoth(&name, &trace.Condition{Of: trace.Times, Bounded: true})
		}
		if len(data) < 24 {
			return
		}
		stamp, groups := stampOf(data)
		Parse(data, stamp, min(groups, 1<<10))
	})
}

// stampOf returns what a sidecar says that it was made for.
func stampOf(b []byte) (Stamp, int) {
	le := binary.LittleEndian
	return Stamp{Size: int64(le.Uint64(b[8:])), Footer: le.Uint32(b[16:])}, int(le.Uint32(b[20:]))
}
