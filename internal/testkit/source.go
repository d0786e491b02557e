package testkit

import (
	"context"
	"encoding/binary"

	"etude/trace"
)

// Views is a Source of a fixed list of Views.
type Views []*trace.View

// Snapshot returns a part for each View.
func (v Views) Snapshot(context.Context) (trace.Snapshot, error) {
	ids := make([]trace.PartID, len(v))
	for i, view := range v {
		binary.LittleEndian.PutUint64(ids[i].Of[:], view.ID())
	}
	return trace.Resident(ids, v), nil
}
