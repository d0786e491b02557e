package block

import (
	"path/filepath"
	"strconv"
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
	dataName      = "data.parquet"
	bloomPrefix   = "bloom-"
	indexName     = "index"
	metaName      = "meta.json"
	compactedName = "meta.compacted.json"
	sidecarName   = "etude.sidecar"
	damagedName   = "meta.damaged.json"
	tempSuffix    = ".tmp"

	// extraColumn is etude's own column behind all of Tempo's in data.parquet.
	extraColumn = "EtudeExtra"
	// partsKey is the member of the file's key/value metadata with what parts.go has.
	partsKey = "etude.parts"
)

// MetaName is the file that makes a folder a block.
const MetaName = metaName

const (
	spareColumns    = 10 // dedicated columns of vParquet4, for resources and for spans
	spareStrings    = 20 // most dedicated columns of vParquet5, a scope
	spareInts       = 5
	maxShards       = 1000
	shardBits       = 102400 * 8 // of a bloom shard, at most
	bloomFalseRate  = 0.01
	defaultPageSpan = 8192 // spans of a page, about: all columns have pages of the same traces
)

func bloomName(shard int) string { return bloomPrefix + strconv.Itoa(shard) }

// Folder returns the folder of a block in that of its tenant.
func Folder(tenantDir string, id ID) string { return filepath.Join(tenantDir, id.String()) }
