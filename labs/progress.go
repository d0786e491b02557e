package labs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// State is a learner's progress in a lab.
type State string

// The states.
const (
	New     State = "new"
	Started State = "started"
	Done    State = "done"
)

// progress is the stored progress of one lab.
type progress struct {
	State State  `json:"state"`
	Hints int    `json:"hints,omitempty"`
	Says  string `json:"says,omitempty"` // the text of the last start
	Vars  vars   `json:"vars,omitempty"` // of the last run
}

// notebook stores the progress in a file.
type notebook struct {
	dir string
	of  map[string]*progress
}

const notebookName = "progress.json"

func openNotebook(dir string) (*notebook, error) {
	n := &notebook{dir: dir, of: map[string]*progress{}}
	data, err := os.ReadFile(filepath.Join(dir, notebookName))
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the progress of labs: %w", err)
	}
	if err := json.Unmarshal(data, &n.of); err != nil {
		return nil, fmt.Errorf("read the progress of labs: %s: %w; remove the file to start over", filepath.Join(dir, notebookName), err)
	}
	return n, nil
}

// get returns the progress of a lab for changing; call save afterwards.
func (n *notebook) get(id string) *progress {
	p := n.of[id]
	if p == nil {
		p = &progress{State: New}
		n.of[id] = p
	}
	return p
}

// read returns the progress of a lab for reading only.
func (n *notebook) read(id string) *progress {
	if p := n.of[id]; p != nil {
		return p
	}
	return &progress{State: New}
}

func (n *notebook) save() error {
	data, err := json.MarshalIndent(n.of, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return fmt.Errorf("write the progress of labs: %w", err)
	}
	name := filepath.Join(n.dir, notebookName)
	if err := os.WriteFile(name+".tmp", data, 0o600); err != nil {
		return fmt.Errorf("write the progress of labs: %w", err)
	}
	return os.Rename(name+".tmp", name)
}
