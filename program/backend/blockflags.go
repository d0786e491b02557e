package backend

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"etude/program/flags"
	"etude/store"
	"etude/store/block"
)

// blockFlags control how spans older than a few minutes are stored.
type blockFlags struct {
	Blocks    bool            `name:"blocks" env:"ETUDE_BLOCKS" negatable:"" default:"true" help:"Store older spans in blocks on disk, in files of Tempo's format, so that memory holds only the last minutes. Without blocks, spans beyond the memory limit are dropped."`
	After     time.Duration   `name:"blocks.after" env:"ETUDE_BLOCKS_AFTER" default:"5m" help:"Age, counted from arrival, at which spans are written to a block. The backend waits up to twice as long for enough spans for a large block, and less when spans fill half of --head-max-bytes."`
	Format    block.Format    `name:"blocks.format" env:"ETUDE_BLOCKS_FORMAT" enum:"vParquet5,vParquet4" default:"vParquet5" help:"Version of Tempo's format. Tempo 3.0.3 reads both and writes vParquet4 by default; Tempo 3.1 writes vParquet5 by default."`
	Dedicated dedicatedFlag   `name:"blocks.dedicated" env:"ETUDE_BLOCKS_DEDICATED" default:"auto" placeholder:"NAME,..." help:"Attributes that get columns of their own, such as span.http.route,resource.k8s.pod.name,span.http.response.status_code:int,event.exception.stacktrace:blob. auto: the most frequent and largest of each block. none: no attribute."`
	Cache     flags.AutoBytes `name:"blocks.cache" env:"ETUDE_BLOCKS_CACHE" default:"auto" help:"Memory for columns that queries have read from blocks. auto: a tenth of --memory, at most 512MiB (here ${cache})."`
}

func (f *blockFlags) check() error {
	switch {
	case f.After <= 0:
		return fmt.Errorf("--blocks.after %s: want more than 0", f.After)
	case f.Cache == 0:
		return errors.New("--blocks.cache 0: want more than 0, or auto")
	}
	return nil
}

// said returns the part of the first line of output that describes blocks.
func (f *blockFlags) said() string {
	if !f.Blocks {
		return ""
	}
	return fmt.Sprintf(" --blocks.after %s --blocks.format %s", f.After, f.Format)
}

// options returns the block options of a store, or nil without blocks.
func (f *blockFlags) options() *store.BlockOptions {
	if !f.Blocks {
		return nil
	}
	return &store.BlockOptions{After: f.After, Format: f.Format, Dedicated: f.Dedicated.list, Cache: block.NewCache(int64(f.Cache))}
}

// dedicatedFlag is a list of attributes, or auto, or none.
type dedicatedFlag struct {
	text string
	list []block.Dedicated // nil for auto
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *dedicatedFlag) UnmarshalText(text []byte) (err error) {
	d.text, d.list = string(text), nil
	if d.text == "auto" {
		return nil
	}
	d.list = []block.Dedicated{}
	if d.text == "none" || d.text == "" {
		return nil
	}
	for _, name := range strings.Split(d.text, ",") {
		one, err := block.ParseDedicated(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		d.list = append(d.list, one)
	}
	return nil
}

func (d *dedicatedFlag) String() string { return d.text }
