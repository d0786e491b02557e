package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namedFiles finds what documentation says of files: targets of links, and paths
// in backquotes that look like a file or folder of this repository.
var (
	linkTarget = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	quotedPath = regexp.MustCompile("`([a-z][A-Za-z0-9_./-]*(?:\\.(?:go|md|ts|svelte|yaml|json|txt)|/))`")
)

// TestDocumentsNameWhatExists: every file that a README or a page of docs/ names
// is there, seen from its folder or from the root.
func TestDocumentsNameWhatExists(t *testing.T) {
	t.Parallel()
	documents := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "dist") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" || path == "CHANGELOG.md" { // the change log names what once was
			return nil
		}
		documents++
		text, err := os.ReadFile(path)
		for _, name := range namedIn(string(text)) {
			if !existsFrom(filepath.Dir(path), name) {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if documents < 20 {
		t.Errorf("only %d documents were read", documents)
	}
}

func namedIn(text string) (names []string) {
	for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], ":") && !strings.HasPrefix(m[1], "/") {
			names = append(names, m[1])
		}
	}
	for _, m := range quotedPath.FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// existsFrom looks in a folder, its parents, and all folders below.
func existsFrom(dir, name string) (found bool) {
	for at := dir; !found; at = filepath.Dir(at) {
		_, err := os.Stat(filepath.Join(at, name))
		found = err == nil
		if at == "." {
			break
		}
	}
	if found {
		return true
	}
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "node_modules" {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(filepath.ToSlash(path), "/"+strings.TrimSuffix(name, "/")) {
			found = true
			return filepath.SkipAll
		}
		return err
	})
	return found
}
