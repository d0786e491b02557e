package block

import (
	"fmt"
	"path/filepath"
	"slices"

	"etude/internal/fs"
	"etude/store/block/layout"
	"etude/trace"
)

// Folders is the content of a tenant's folder.
type Folders struct {
	Blocks     []ID     // folders with a meta.json
	Damaged    []string // paths of the blocks that were set aside
	Unfinished []string // folders that a crash left without a meta.json
}

// List reads a tenant's folder. It ignores names that are not a block's id.
func List(fsys fs.FS, tenantDir string) (f Folders, err error) {
	entries, err := fsys.List(tenantDir)
	if err != nil {
		return f, fmt.Errorf("list blocks: %w", err)
	}
	for _, e := range entries {
		id, err := layout.ParseID(e.Name)
		if err != nil || e.Kind != fs.Folder {
			continue
		}
		dir := Folder(tenantDir, id)
		files, err := fsys.List(dir)
		if err != nil {
			return f, fmt.Errorf("list block: %w", err)
		}
		has := func(name string) bool {
			return slices.ContainsFunc(files, func(i fs.Info) bool { return i.Name == name })
		}
		switch {
		case has(MetaName):
			f.Blocks = append(f.Blocks, id)
		case has(layout.DamagedName):
			f.Damaged = append(f.Damaged, dir)
		default: // Unfinished, merged or half removed.
			f.Unfinished = append(f.Unfinished, dir)
		}
	}
	return f, nil
}

// Parts describes the row groups of a block.
func (b *Block) Parts() (all []trace.Part) {
	for _, p := range b.parts {
		all = append(all, p.describe())
	}
	return all
}

// Remove removes a block's folder. It removes meta.json first and syncs, so that no crash leaves half a block.
// After an error the caller may call it again.
func Remove(fsys fs.FS, dir string) error {
	if err := layout.RemoveFolder(fsys, dir); err != nil && !fs.IsNotExist(err) {
		return fmt.Errorf("remove block: %w", err)
	}
	return nil
}

// SetAside hides an unreadable block from readers. Its files stay, so that an operator can inspect them.
func SetAside(fsys fs.FS, dir string) error {
	err := fsys.Rename(filepath.Join(dir, MetaName), filepath.Join(dir, layout.DamagedName))
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("set damaged block aside: %w", err)
	}
	return nil
}

// DiskBytes is the size of a block's files.
func DiskBytes(fsys fs.FS, dir string) (n int64, err error) {
	files, err := fsys.List(dir)
	for _, f := range files {
		n += f.Size
	}
	return n, err
}

// Hold returns the blocks with the given ids, in that order, and leaves out ids that the Set does not have. The
// blocks stay readable until the caller calls release.
func (s *Set) Hold(ids []ID) (held []*Block, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		for _, b := range s.blocks {
			if b.Meta.ID == id {
				b.users++
				held = append(held, b)
			}
		}
	}
	return held, func() { s.release(held) }
}
