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

// blockFlags say what becomes of spans that are older than the last minutes.
type blockFlags struct {
	Blocks    bool            `name:"blocks" env:"ETUDE_BLOCKS" negatable:"" default:"true" help:"Keep older spans in blocks on disk, files of Tempo's format, so that memory bounds only the last minutes. Without blocks, spans that the memory cannot hold are dropped."`
	After     time.Duration   `name:"blocks.after" env:"ETUDE_BLOCKS_AFTER" default:"5m" help:"Spans become a block when they came in longer ago than this, at the latest after twice the time, or earlier when they fill half of --head-max-bytes. In between the backend waits for enough spans for a large block."`
	Format    block.Format    `name:"blocks.format" env:"ETUDE_BLOCKS_FORMAT" enum:"vParquet5,vParquet4" default:"vParquet5" help:"Version of Tempo's format: Tempo 3.0.3 reads both and writes vParquet4 by default; Tempo 3.1 writes vParquet5 by default."`
	Dedicated dedicatedFlag   `name:"blocks.dedicated" env:"ETUDE_BLOCKS_DEDICATED" default:"auto" placeholder:"NAME,..." help:"Attributes with columns of their own, as in span.http.route,resource.k8s.pod.name,span.http.response.status_code:int,event.exception.stacktrace:blob. auto: the most used and largest of each block; none: none."`
	Cache     flags.AutoBytes `name:"blocks.cache" env:"ETUDE_BLOCKS_CACHE" default:"auto" help:"Memory for columns of blocks that have been read. auto: a tenth of --memory, at most 512MiB (here ${cache})."`
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

// said is what the first line says of blocks.
func (f *blockFlags) said() string {
	if !f.Blocks {
		return ""
	}
	return fmt.Sprintf(" --blocks.after %s --blocks.format %s", f.After, f.Format)
}

// options are those of a store; nil without blocks.
func (f *blockFlags) options() *store.BlockOptions {
	if !f.Blocks {
		return nil
	}
	return &store.BlockOptions{After: f.After, Format: f.Format, Dedicated: f.Dedicated.list, Cache: block.NewCache(int64(f.Cache))}
}

// dedicatedFlag is a list of attributes, auto, or none.
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
