package layout

import (
	"encoding/json"
	"fmt"
)

// PartInfo has the facts about a row group that Tempo's columns lack. The file's key/value metadata has a JSON
// list of them under PartsKey. Blocks of a real Tempo have none.
type PartInfo struct {
	Spans        int    `json:"spans"`
	MinStart     uint64 `json:"minStart"` // as trace.Part has them, in unix nanoseconds
	MaxEnd       uint64 `json:"maxEnd"`
	FirstArrival int64  `json:"firstArrival"`
	LastArrival  int64  `json:"lastArrival"`
	// Listed: no value of EtudeExtra keeps a list of attributes whole. Earlier writers did not say so.
	Listed bool `json:"listed,omitempty"`
}

// ParseParts parses the list. It returns an error unless the list has one entry for each row group.
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
