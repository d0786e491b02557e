package layout

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"etude/internal/fs"
)

// ID is the UUID of a block.
type ID [16]byte

// NewID returns a random id (version 4 of RFC 9562).
func NewID() (id ID) {
	rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// String returns the id as lower-case UUID text, the name of the block's folder.
func (id ID) String() string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseID parses UUID text. A folder with any other name is not a block.
func ParseID(s string) (id ID, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("block id %q: want a UUID such as 7c4dc0ac-595f-4948-b7f4-b938b7d34b77", s)
	}
	_, err = hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]))
	if err == nil && id.String() != s {
		err = errors.New("capital letters")
	}
	if err != nil {
		return id, fmt.Errorf("block id %q: want a UUID in lower case: %w", s, err)
	}
	return id, nil
}

// MarshalText returns the id as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses the id as ParseID does.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// Meta is a block's meta.json in Tempo's form. ParseMeta ignores unknown members.
type Meta struct {
	Format          Format      `json:"format"`
	ID              ID          `json:"blockID"`
	Tenant          string      `json:"tenantID"`
	Start           time.Time   `json:"startTime"` // least start and greatest end of its traces, rounded down to seconds
	End             time.Time   `json:"endTime"`
	Traces          int64       `json:"totalObjects"`
	Size            int64       `json:"size"` // bytes of data.parquet
	CompactionLevel uint32      `json:"compactionLevel"`
	IndexPageSize   uint32      `json:"indexPageSize"`
	RowGroups       uint32      `json:"totalRecords"`
	BloomShards     uint32      `json:"bloomShards"`
	FooterSize      uint32      `json:"footerSize"`
	Dedicated       []Dedicated `json:"dedicatedColumns,omitempty"`
	Replication     uint32      `json:"replicationFactor,omitempty"` // must be 1: Tempo's metrics queries skip other blocks

	// First is the block with the first spans of this block's traces. Without it this block does not count. The
	// store defines Origin. Tempo ignores both.
	First  *ID             `json:"etudeFirst,omitempty"`
	Origin json.RawMessage `json:"etude,omitempty"`
}

// ParseMeta parses a meta.json and checks the members on which reading relies.
func ParseMeta(b []byte) (*Meta, error) {
	m := &Meta{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", MetaName, err)
	}
	if m.Format != VParquet3 && m.Format != VParquet4 && m.Format != VParquet5 {
		return nil, fmt.Errorf("read %s: format %q is not a version that can be read: want vParquet3, vParquet4 or vParquet5", MetaName, m.Format)
	}
	if m.Size <= 0 || m.Traces < 0 || m.RowGroups == 0 {
		return nil, fmt.Errorf("read %s: size %d, totalObjects %d, totalRecords %d: a block has at least one trace in one row group", MetaName, m.Size, m.Traces, m.RowGroups)
	}
	if m.BloomShards == 0 || m.BloomShards > maxShards {
		return nil, fmt.Errorf("read %s: bloomShards is %d: want 1 to %d", MetaName, m.BloomShards, maxShards)
	}
	for _, d := range m.Dedicated {
		if err := d.check(); err != nil {
			return nil, fmt.Errorf("read %s: %w", MetaName, err)
		}
	}
	return m, nil
}

// Bounds of the small files of a block, far above the sizes that a writer makes. They limit memory: a sparse
// file can claim any size.
const (
	maxMeta  = 1 << 20
	MaxIndex = 64 << 20 // index, and a shard of the bloom filter
)

// ReadMeta reads the meta.json of a block's folder.
func ReadMeta(fsys fs.FS, dir string) (*Meta, error) {
	b, err := fs.ReadStart(fsys, filepath.Join(dir, MetaName), maxMeta)
	if err != nil {
		return nil, err
	}
	return ParseMeta(b)
}

// Index is the file index.
type Index struct {
	RowGroups []string `json:"rowGroups"` // the last trace id of each, in base64
}
