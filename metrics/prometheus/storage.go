package prometheus

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/util/compression"
)

// The storage is small: thousands of series, not millions. Prometheus' own defaults would take 16 MiB before
// the first sample.
const (
	stripeSize      = 1 << 10 // locks and maps of the series index
	chunkBuffer     = 256 << 10
	walSegment      = 16 << 20 // the log is dropped in whole segments
	longestBlock    = 31 * 24 * time.Hour
	headBlock       = 2 * time.Hour
	shortestBlock   = 5 * time.Minute
	blocksRetention = 4 // minimum number of blocks in a retention
)

// storageOptions makes blocks short in relation to the retention, because the storage drops only whole blocks.
func storageOptions(cfg *config.Config) *tsdb.Options {
	o := tsdb.DefaultOptions()
	section := cfg.StorageConfig.TSDBConfig
	retention := time.Duration(section.Retention.Time)
	shortest, longest := headBlock, longestBlock
	if retention > 0 {
		shortest = min(max(retention/blocksRetention, shortestBlock), headBlock)
		longest = min(max(retention/10, shortest), longestBlock)
	}
	o.MinBlockDuration, o.MaxBlockDuration = shortest.Milliseconds(), longest.Milliseconds()
	o.RetentionDuration, o.MaxBytes, o.MaxPercentage = retention.Milliseconds(), int64(section.Retention.Size), section.Retention.Percentage
	o.OutOfOrderTimeWindow = section.OutOfOrderTimeWindow
	o.StaleSeriesCompactionThreshold = section.StaleSeriesCompactionThreshold
	if section.ChunkEncoding.Floats == config.FloatChunkEncodingXOR2 {
		o.FloatChunkEncoding = chunkenc.EncXOR2
	}
	o.EnableExemplarStorage, o.MaxExemplars = true, cfg.StorageConfig.ExemplarsConfig.MaxExemplars
	o.StripeSize, o.HeadChunksWriteBufferSize, o.WALSegmentSize = stripeSize, chunkBuffer, walSegment
	o.WALCompression = compression.Snappy
	o.EnableSTAsZeroSample = true // a counter with a known start begins with a zero, which rate() needs
	o.NoLockfile = true           // the directory belongs to this process alone
	return o
}

// openStorage opens the storage. It moves damaged files aside, as few as possible: blocks that do not open;
// then the head's chunks, which the log can replace; then the log; then everything.
func (p *Prometheus) openStorage(cfg *config.Config) (*tsdb.DB, error) {
	for attempt := 0; ; attempt++ {
		db, err := tsdb.Open(p.options.Dir, p.log.With("component", "tsdb"), p.freshRegistry(), storageOptions(cfg), p.stats.Load())
		if err == nil {
			registerBounds(p.registry.Load(), db)
			return db, nil
		}
		if !isDamage(err) || attempt == 4 {
			return nil, fmt.Errorf("open the metrics in %s: %w", p.options.Dir, err)
		}
		damaged := findDamaged(p.options.Dir, attempt)
		if len(damaged) == 0 {
			continue
		}
		aside, moveErr := moveAside(p.options.Dir, damaged)
		if moveErr != nil {
			return nil, fmt.Errorf("move damaged metrics aside: %w", errors.Join(moveErr, err))
		}
		p.log.Error("metrics on disk are damaged; moved the files aside and continue without them", "files", strings.Join(damaged, " "), "to", aside, "err", err)
	}
}

// isDamage distinguishes damaged files from missing system resources.
func isDamage(err error) bool {
	for _, lack := range []error{syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EROFS, fs.ErrPermission} {
		if errors.Is(err, lack) {
			return false
		}
	}
	return true
}

const asidePrefix = "damaged-"

// findDamaged names the files to move aside in an attempt to open, counted from 0.
func findDamaged(dir string, attempt int) []string {
	entries, _ := os.ReadDir(dir)
	var found []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasPrefix(name, asidePrefix):
		case attempt == 0 && isBrokenBlock(filepath.Join(dir, name)),
			attempt == 1 && name == "chunks_head",
			attempt == 2 && (name == "wal" || name == "wbl" || name == "chunks_head"),
			attempt == 3:
			found = append(found, name)
		}
	}
	return found
}

// isBrokenBlock reports whether a directory is a block that does not open.
func isBrokenBlock(dir string) bool {
	if len(filepath.Base(dir)) != 26 { // not a ULID
		return false
	}
	b, err := tsdb.OpenBlock(discard, dir, nil, nil)
	if err != nil {
		return true
	}
	return b.Close() != nil
}

// moveAside moves entries of a directory into a new directory inside it.
func moveAside(dir string, names []string) (string, error) {
	aside, err := os.MkdirTemp(dir, asidePrefix+time.Now().UTC().Format("20060102T150405")+"-")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(aside, name)); err != nil {
			return "", err
		}
	}
	return aside, nil
}

// registerBounds exports the times of the data, as Prometheus' program does.
func registerBounds(r *client.Registry, db *tsdb.DB) {
	seconds := func(name, help string, ms func() int64) {
		r.MustRegister(client.NewGaugeFunc(client.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(ms() / 1000) }))
	}
	seconds("prometheus_tsdb_lowest_timestamp_seconds", "Lowest timestamp value stored in the database.", func() int64 {
		if blocks := db.Blocks(); len(blocks) > 0 {
			return blocks[0].Meta().MinTime
		}
		return db.Head().MinTime()
	})
	seconds("prometheus_tsdb_head_min_time_seconds", "Minimum time bound of the head block.", func() int64 { return db.Head().MinTime() })
	seconds("prometheus_tsdb_head_max_time_seconds", "Maximum timestamp of the head block.", func() int64 { return db.Head().MaxTime() })
}

// admin is the storage in the form that the API needs. Deleting and snapshots are disabled in the API.
type admin struct {
	*tsdb.DB
	p *Prometheus
}

func (a admin) BlockMetas() ([]tsdb.BlockMeta, error) { return a.DB.BlockMetas(), nil }

func (a admin) Stats(label string, limit int) (*tsdb.Stats, error) {
	return a.Head().Stats(label, limit), nil
}

func (a admin) WALReplayStatus() (tsdb.WALReplayStatus, error) { return a.p.walReplay(), nil }

func (p *Prometheus) walReplay() tsdb.WALReplayStatus {
	return p.stats.Load().Head.WALReplayStatus.GetWALReplayStatus()
}
