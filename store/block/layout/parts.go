package layout

import (
	"encoding/json"
	"fmt"
)

// PartInfo is what a block remembers of a row group beside Tempo's columns: the
// value of the file's key/value metadata under partsKey is a JSON list of these.
// Blocks of a real Tempo have none.
type PartInfo struct {
	Spans        int    `json:"spans"`
	MinStart     uint64 `json:"minStart"` // as trace.Part has them, in unix nanoseconds
	MaxEnd       uint64 `json:"maxEnd"`
	FirstArrival int64  `json:"firstArrival"`
	LastArrival  int64  `json:"lastArrival"`
}

// ParseParts reads the list; it must have one entry for each row group.
func ParseParts(b []byte, rowGroups int) ([]PartInfo, error) {
	var parts []PartInfo
	if err := json.Unmarshal(b, &parts); err != nil {
		return nil, fmt.Errorf("read %s: %w", PartsKey, err)
	}
	if len(parts) != rowGroups {
		return nil, fmt.Errorf("read %s: %d entries for %d row groups", PartsKey, len(parts), rowGroups)
	}
	return parts, nil
}
