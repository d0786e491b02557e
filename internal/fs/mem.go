package fs

import (
	"bytes"
	"errors"
	"io"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrCrashed is the error of every operation after a crash.
var ErrCrashed = errors.New("file system crashed")

// Mem is a file system in memory that knows which data a crash would lose. It has names and data twice: as a
// running program sees them, and as they are on the disk. Sync and SyncDir copy the first to the second.
// Folders are durable at once, because no storage code depends on when they are.
//
// A failed Sync loses its data, as on Linux: readers still see the data, and no later Sync writes it.
type Mem struct {
	mu       sync.Mutex
	live     map[string]*node
	disk     map[string]*node
	pending  []rename       // changes to names that no SyncDir has copied to the disk yet
	dirs     map[string]int // each has its own number
	made     int            // folders made so far
	locks    map[string]bool
	used     int64
	capacity int64 // 0: no limit
	hook     func(Op) Fault
	down     bool
}

// node is a file's content. data and synced may share an array: bytes below len(synced) are never overwritten.
type node struct {
	data, synced []byte
	lost         [][2]int // ranges of data lost by a failed Sync
	kind         Kind
	modified     time.Time
}

// rename is a change to names: an empty from means a new file, an empty to a removed one.
type rename struct {
	from, to string
	node     *node
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{live: map[string]*node{}, disk: map[string]*node{}, dirs: map[string]int{}, locks: map[string]bool{}}
}

// SetCapacity limits the total size of all files; 0 means no limit.
func (m *Mem) SetCapacity(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = n
}

// Crash simulates a power failure. Every later operation fails with [ErrCrashed]. It returns the file system
// that the next start would find. With a nil rng, it has only synced data. Otherwise rng decides for each name
// and each unsynced byte range whether the disk has it.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = true
	after := NewMem()
	after.dirs, after.made = maps.Clone(m.dirs), m.made
	names := make(map[string]*node, len(m.disk))
	for name, n := range m.disk {
		names[name] = n
	}
	for _, r := range m.pending {
		if rng != nil && rng.IntN(2) == 0 {
			r.apply(names)
		}
	}
	for _, name := range sortedKeys(names) {
		data := names[name].survive(rng)
		n := &node{data: data, synced: data[:len(data):len(data)], modified: names[name].modified, kind: names[name].kind}
		after.live[name], after.disk[name] = n, n
		after.used += int64(len(data))
	}
	return after
}

func (r rename) apply(names map[string]*node) {
	if r.from != "" && names[r.from] == r.node {
		delete(names, r.from)
	}
	if r.to != "" {
		names[r.to] = r.node
	}
}

// survive returns the content of a file after a crash.
func (n *node) survive(rng *rand.Rand) []byte {
	switch {
	case rng == nil:
		return bytes.Clone(n.synced)
	case !bytes.HasPrefix(n.data, n.synced): // Truncated, or lost by a failed Sync.
		if rng.IntN(2) == 0 {
			return bytes.Clone(n.synced)
		}
		return bytes.Clone(n.data)
	}
	extra := len(n.data) - len(n.synced)
	kept := bytes.Clone(n.data[:len(n.synced)+rng.IntN(extra+1)])
	if fresh := kept[len(n.synced):]; len(fresh) > 0 && rng.IntN(3) == 0 {
		// The length reached the disk, but a sector of the data did not.
		hole := fresh[rng.IntN(len(fresh)):]
		clear(hole[:min(512, len(hole))])
	}
	return kept
}

// Names returns the paths of all files in order.
func (m *Mem) Names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return sortedKeys(m.live)
}

// Corrupt changes a file's content on the disk, as failing hardware does.
func (m *Mem) Corrupt(name string, change func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.live[filepath.Clean(name)]
	m.used -= int64(len(n.data))
	n.data = change(bytes.Clone(n.data))
	n.synced = n.data[:len(n.data):len(n.data)]
	m.used += int64(len(n.data))
}

// Replace puts an entry that is not a plain file in the place of a name.
func (m *Mem) Replace(name string, kind Kind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = filepath.Clean(name)
	n := &node{modified: time.Now(), kind: kind}
	m.live[name], m.disk[name] = n, n
}

// RemoveAll removes a folder with all its contents, as rm -r does. It cannot fail.
func (m *Mem) RemoveAll(dir string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = filepath.Clean(dir)
	for name, n := range m.live {
		if below(dir, name) {
			m.used -= int64(len(n.data))
			delete(m.live, name)
			delete(m.disk, name)
		}
	}
	for name := range m.dirs {
		if name == dir || below(dir, name) {
			delete(m.dirs, name)
		}
	}
}

func below(dir, name string) bool { return strings.HasPrefix(name, dir+string(filepath.Separator)) }

// Move renames a folder with all its contents, as mv does. It cannot fail.
func (m *Mem) Move(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	moveNames(m.live, from, to)
	moveNames(m.disk, from, to)
	moveNames(m.dirs, from, to)
}

func moveNames[V any](names map[string]V, from, to string) {
	for name, v := range maps.Clone(names) {
		if name == from || below(from, name) {
			delete(names, name)
			names[to+name[len(from):]] = v
		}
	}
}

// Pin records a folder by its number, and a file by its open File.
func (m *Mem) Pin(name string) (Pin, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[name] == 0 {
		return nil, pathError("pin", name, iofs.ErrNotExist)
	}
	return memPin{m, name, m.dirs[name]}, nil
}

type memPin struct {
	m    *Mem
	name string
	made int
}

func (p memPin) Close() error { return nil }

func (p memPin) Still() error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	switch now := p.m.dirs[p.name]; now {
	case p.made:
		return nil
	case 0:
		return pathError("find", p.name, iofs.ErrNotExist)
	default:
		return pathError("find", p.name, ErrReplaced)
	}
}

func (m *Mem) Create(name string) (File, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: "create", Path: name}).Err; err != nil {
		return nil, err
	}
	if m.dirs[filepath.Dir(name)] == 0 {
		return nil, pathError("create", name, iofs.ErrNotExist)
	}
	if m.live[name] != nil {
		return nil, pathError("create", name, iofs.ErrExist)
	}
	n := &node{modified: time.Now()}
	m.change(rename{to: name, node: n})
	return &memFile{m: m, n: n, name: name, write: true}, nil
}

func (m *Mem) Append(name string) (File, error) { return m.open("append", name, true) }

func (m *Mem) Open(name string) (File, error) { return m.open("open", name, false) }

func (m *Mem) open(kind, name string, write bool) (File, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: kind, Path: name}).Err; err != nil {
		return nil, err
	}
	n := m.live[name]
	if n == nil {
		return nil, pathError(kind, name, iofs.ErrNotExist)
	}
	if n.kind != Plain {
		return nil, &KindError{Path: name, Kind: n.kind}
	}
	return &memFile{m: m, n: n, name: name, write: write}, nil
}

func (m *Mem) Rename(from, to string) error {
	from, to = filepath.Clean(from), filepath.Clean(to)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: "rename", Path: from}).Err; err != nil {
		return err
	}
	n := m.live[from]
	if n == nil {
		return pathError("rename", from, iofs.ErrNotExist)
	}
	if old := m.live[to]; old != nil {
		m.used -= int64(len(old.data))
	}
	m.change(rename{from: from, to: to, node: n})
	return nil
}

func (m *Mem) Remove(name string) error {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: "remove", Path: name}).Err; err != nil {
		return err
	}
	if m.dirs[name] != 0 {
		return m.removeDir(name)
	}
	n := m.live[name]
	if n == nil {
		return pathError("remove", name, iofs.ErrNotExist)
	}
	m.used -= int64(len(n.data))
	m.change(rename{from: name, node: n})
	return nil
}

// removeDir removes an empty folder. The caller holds the lock.
func (m *Mem) removeDir(dir string) error {
	for name := range m.live {
		if below(dir, name) {
			return pathError("remove", dir, errNotEmpty)
		}
	}
	for name := range m.dirs {
		if below(dir, name) {
			return pathError("remove", dir, errNotEmpty)
		}
	}
	delete(m.dirs, dir)
	return nil
}

var errNotEmpty = errors.New("directory not empty")

func (m *Mem) change(r rename) {
	r.apply(m.live)
	m.pending = append(m.pending, r)
}

func (m *Mem) List(dir string) ([]Info, error) {
	dir = filepath.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: "list", Path: dir}).Err; err != nil {
		return nil, err
	}
	if m.dirs[dir] == 0 {
		return nil, pathError("list", dir, iofs.ErrNotExist)
	}
	var files []Info
	for _, name := range sortedKeys(m.live) {
		if filepath.Dir(name) == dir {
			n := m.live[name]
			files = append(files, Info{Name: filepath.Base(name), Size: int64(len(n.data)), Modified: n.modified, Kind: n.kind})
		}
	}
	for name := range m.dirs {
		if name != dir && filepath.Dir(name) == dir {
			files = append(files, Info{Name: filepath.Base(name), Kind: Folder})
		}
	}
	slices.SortFunc(files, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

func (m *Mem) Mkdir(dir string) error {
	dir = filepath.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: "mkdir", Path: dir}).Err; err != nil {
		return err
	}
	for m.dirs[dir] == 0 {
		m.made++
		m.dirs[dir] = m.made
		dir = filepath.Dir(dir)
	}
	return nil
}

func (m *Mem) SyncDir(dir string) error {
	dir = filepath.Clean(dir)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: "syncdir", Path: dir}).Err; err != nil {
		return err
	}
	m.pending = slices.DeleteFunc(m.pending, func(r rename) bool {
		if filepath.Dir(r.from) != dir && filepath.Dir(r.to) != dir {
			return false
		}
		r.apply(m.disk)
		return true
	})
	return nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	name = filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(Op{Kind: "lock", Path: name}).Err; err != nil {
		return nil, err
	}
	if m.locks[name] {
		return nil, &LockedError{Path: name}
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

func pathError(op, name string, err error) error {
	return &iofs.PathError{Op: op, Path: name, Err: err}
}

func sortedKeys(names map[string]*node) []string {
	keys := make([]string, 0, len(names))
	for name := range names {
		keys = append(keys, name)
	}
	slices.Sort(keys)
	return keys
}
