package block

import (
	"context"

	"etude/store/block/layout"
	"etude/store/block/write"
	"etude/trace"
)

// The names of packages layout and write that a store uses.
type (
	ID           = layout.ID
	Meta         = layout.Meta
	Format       = layout.Format
	Dedicated    = layout.Dedicated
	WriteOptions = write.Options
)

// The formats, the file that makes a folder a block, and the tenant of a store
// without tenants.
const (
	VParquet3    = layout.VParquet3
	VParquet4    = layout.VParquet4
	VParquet5    = layout.VParquet5
	MetaName     = layout.MetaName
	SingleTenant = write.SingleTenant
)

// ParseMeta reads a meta.json. See [layout.ParseMeta].
func ParseMeta(b []byte) (*Meta, error) { return layout.ParseMeta(b) }

// ParseDedicated reads an attribute as people write it. See [layout.ParseDedicated].
func ParseDedicated(text string) (Dedicated, error) { return layout.ParseDedicated(text) }

// Folder returns the folder of a block in that of its tenant.
func Folder(tenantDir string, id ID) string { return layout.Folder(tenantDir, id) }

// Write writes Views as blocks. See [write.Write].
func Write(ctx context.Context, o WriteOptions, views []*trace.View) ([]*Meta, error) {
	return write.Write(ctx, o, views)
}
