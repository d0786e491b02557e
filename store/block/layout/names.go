package layout

import (
	"path/filepath"
	"strconv"

	"etude/internal/fs"
)

// Every name in a block's folder. The first five are Tempo's, in the order in
// which they are written; meta.json is last and makes the block exist. The
// folder's name is the block's id.
//
//	data.parquet    the spans
//	bloom-0 ...     which traces there are
//	index           the last trace id of each row group
//	meta.json       see [Meta]; a folder without it is no block
//	etude.sidecar   which row groups a query can skip; made anew when missing or stale
//	meta.compacted.json  instead of meta.json: the block has been merged into another
//	meta.damaged.json    instead of meta.json: the block could not be read
//	*.tmp           unfinished; readers ignore it
const (
	DataName      = "data.parquet"
	bloomPrefix   = "bloom-"
	IndexName     = "index"
	MetaName      = "meta.json"
	compactedName = "meta.compacted.json"
	SidecarName   = "etude.sidecar"
	DamagedName   = "meta.damaged.json"
	TempSuffix    = ".tmp"

	// ExtraColumn is etude's own column after all of Tempo's in data.parquet.
	ExtraColumn = "EtudeExtra"
	// PartsKey is the key of the PartInfo list in the file's key/value metadata; see parts.go.
	PartsKey = "etude.parts"
)

const (
	spareColumns    = 10 // dedicated columns of vParquet4, for resources and for spans
	SpareStrings    = 20 // at most so many dedicated columns per scope in vParquet5
	SpareInts       = 5
	MaxSpans        = 1 << 25 // a reader refuses a row group with more
	maxShards       = 1000
	shardBits       = 102400 * 8 // of a bloom shard, at most
	bloomFalseRate  = 0.01
	DefaultPageSpan = 8192 // spans of a page, about: the pages of all columns begin at the same traces
)

func BloomName(shard int) string { return bloomPrefix + strconv.Itoa(shard) }

// Folder returns the folder of a block in that of its tenant.
func Folder(tenantDir string, id ID) string { return filepath.Join(tenantDir, id.String()) }

// RemoveFolder removes a block. It removes meta.json first and syncs, so that no crash leaves half a block.
// Then it removes the other files and the folder.
func RemoveFolder(fsys fs.FS, dir string) error {
	err := fsys.Remove(filepath.Join(dir, MetaName))
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil && !fs.IsNotExist(err) {
		return err
	}
	files, err := fsys.List(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := fsys.Remove(filepath.Join(dir, f.Name)); err != nil && !fs.IsNotExist(err) {
			return err
		}
	}
	return fsys.Remove(dir)
}
