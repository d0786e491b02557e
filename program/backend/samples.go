package backend

import (
	"maps"
	"slices"

	"etude/query"
	"etude/receive"
	"etude/store"
	"etude/store/block"
	"etude/store/tenants"
	"etude/telemetry"
)

// samples returns the source of the counters on /metrics.
func (b *backendRun) samples(stats *receive.Stats) telemetry.Source {
	return func(yield func(telemetry.Sample)) {
		receiveSamples(stats.Counts(), yield)
		if b.queries != nil {
			querySamples(b.queries.Stats(), yield)
		}
		if b.cache != nil {
			cacheSamples(b.cache.Stats(), yield)
		}
		for _, t := range b.stores.Tenants() {
			storeSamples(b.labelOf(t), t, yield)
			if g := b.generators.get(t.ID); g != nil {
				generatorSamples(b.labelOf(t), g.Stats(), yield)
			}
		}
	}
}

func receiveSamples(c receive.Counts, yield func(telemetry.Sample)) {
	for _, p := range c.Protocols {
		protocol := telemetry.Label{Name: "protocol", Value: string(p.Protocol)}
		counter := func(name, help string, v uint64, labels ...telemetry.Label) {
			yield(telemetry.Sample{Name: name, Help: help, Labels: append(labels, protocol), Value: float64(v)})
		}
		counter("etude_receive_requests_total", "Requests acknowledged.", p.Requests)
		counter("etude_receive_spans_total", "Spans acknowledged.", p.Spans)
		counter("etude_receive_bytes_total", "Bytes of OTLP payload acknowledged.", p.Bytes)
		counter("etude_receive_rejected_spans_total", "Invalid spans, for example with an id of the wrong length, left out of acknowledged requests.", p.Rejected)
		for _, reason := range slices.Sorted(maps.Keys(p.Refused)) {
			counter("etude_receive_refused_requests_total", "Requests refused, by reason.", p.Refused[reason], telemetry.Label{Name: "reason", Value: reason})
			counter("etude_receive_refused_spans_total", "Spans of refused requests, by reason, as far as the request could be decoded.", p.RefusedSpans[reason], telemetry.Label{Name: "reason", Value: reason})
		}
	}
	yield(telemetry.Sample{Name: "etude_receive_open_connections", Help: "Open connections.", Gauge: true, Value: float64(c.Connections)})
	yield(telemetry.Sample{Name: "etude_receive_requests_in_flight", Help: "Requests being received now.", Gauge: true, Value: float64(c.InFlight)})
	yield(telemetry.Sample{Name: "etude_receive_in_flight_bytes", Help: "Memory of the requests being received.", Gauge: true, Value: float64(c.InFlightBytes)})
	yield(telemetry.Sample{Name: "etude_receive_arriving_bytes", Help: "Memory of requests that have not arrived completely.", Gauge: true, Value: float64(c.ArrivingBytes)})
	total := func(name, help string, v uint64, labels ...telemetry.Label) {
		yield(telemetry.Sample{Name: name, Help: help, Labels: labels, Value: float64(v)})
	}
	total("etude_receive_cut_connections_total", "Connections closed because they were silent, slow, malformed or too many.", c.Cut)
	total("etude_receive_idle_closed_connections_total", "Connections closed because the table of connections was full and they had been idle longest.", c.IdleClosed)
	total("etude_receive_overfull_connections_total", "Connections closed because unfinished requests used too much memory and theirs used most.", c.Overfull)
	total("etude_receive_wrong_port_connections_total", "OTLP connections to the port of the other OTLP protocol; they were served.", c.WrongPort)
	total("etude_receive_metric_points_total", "Data points of OTLP metrics acknowledged.", c.Points)
	total("etude_receive_rejected_total", "Log records and data points of metrics not stored, and reported by a partial success.", c.RejectedLogs, telemetry.Label{Name: "signal", Value: "logs"})
	total("etude_receive_rejected_total", "Log records and data points of metrics not stored, and reported by a partial success.", c.RejectedPoints, telemetry.Label{Name: "signal", Value: "metrics"})
}

func cacheSamples(s block.CacheStats, yield func(telemetry.Sample)) {
	read := func(outcome string, n int64) {
		yield(telemetry.Sample{Name: "etude_block_cache_reads_total", Help: "Columns of blocks that queries needed, by source: cache or disk.",
			Labels: []telemetry.Label{{Name: "outcome", Value: outcome}}, Value: float64(n)})
	}
	read("hit", s.Hits)
	read("miss", s.Misses)
	yield(telemetry.Sample{Name: "etude_block_cache_evicted_total", Help: "Columns evicted from the cache.", Value: float64(s.Evicted)})
	yield(telemetry.Sample{Name: "etude_block_cache_bytes", Help: "Memory of the columns in the cache; bounded by --blocks.cache.", Gauge: true, Value: float64(s.Bytes)})
}

func querySamples(s query.Stats, yield func(telemetry.Sample)) {
	yield(telemetry.Sample{Name: "etude_query_memory_bytes", Help: "Memory of the running queries, including their answers.", Gauge: true, Value: float64(s.Memory)})
	yield(telemetry.Sample{Name: "etude_query_facts_bytes", Help: "Memory of facts about parts that queries reuse; bounded by --query-facts-memory.", Gauge: true, Value: float64(s.Facts)})
	for _, name := range slices.Sorted(maps.Keys(s.Limits)) {
		yield(telemetry.Sample{Name: "etude_query_limit_hits_total", Help: "Queries stopped by a limit, by limit.",
			Labels: []telemetry.Label{{Name: "limit", Value: name}}, Value: float64(s.Limits[name])})
	}
	yield(telemetry.Sample{Name: "etude_query_partial_traces_total", Help: "Requests for a trace with more than --max-trace-spans spans; the answer was partial or an error.", Value: float64(s.Partial)})
}

// storeSamples yields the metrics of one store. A tenant with a name becomes a label.
func storeSamples(tenant string, ts *tenants.Tenant, yield func(telemetry.Sample)) {
	s := ts.Stats()
	of := tenantLabels(tenant)
	counter := func(name, help string, v int64, labels ...telemetry.Label) {
		yield(telemetry.Sample{Name: name, Help: help, Labels: append(labels, of...), Value: float64(v)})
	}
	gauge := func(name, help string, v int64) {
		yield(telemetry.Sample{Name: name, Help: help, Gauge: true, Labels: of, Value: float64(v)})
	}
	counter("etude_store_payloads_total", "Requests stored.", s.Payloads)
	counter("etude_store_spans_total", "New spans stored.", s.Appended)
	counter("etude_store_duplicate_spans_total", "Spans received again after they were stored.", s.Duplicates)
	counter("etude_store_rejected_spans_total", "Invalid spans, for example with an id of the wrong length, left out of requests.", s.Rejected)
	counter("etude_store_mended_payloads_total", "Requests with text that was not UTF-8; U+FFFD replaced the invalid bytes.", s.Mended)
	lost := func(what string, n int64) {
		counter("etude_store_lost_parts_total", "Parts of spans dropped or cut because of a limit; the remaining span was stored.", n, telemetry.Label{Name: "part", Value: what})
	}
	lost("attribute", s.Lost.Attributes)
	lost("event", s.Lost.Events)
	lost("link", s.Lost.Links)
	lost("cut_attribute", s.Lost.Cut)
	counter("etude_store_shared_columns_total", "Attribute keys beyond --max-columns, which share memory.", s.Lost.SharedColumns)
	counter("etude_store_replayed_spans_total", "Spans replayed from the log at startup.", s.Replayed)
	counter("etude_store_damaged_records_total", "Damaged ranges found in the log at startup.", s.Damaged)
	counter("etude_store_missing_spans_total", "Known number of spans lost because a file of the log was missing, truncated or replaced.", s.Missing)
	gauge("etude_store_log_problems", "Files of the log that were missing, truncated or replaced, and blocks that cannot be read; /status names them.", s.Problems)
	refused := func(reason string, n int64) {
		counter("etude_store_refused_payloads_total", "Requests refused by the storage, by reason.", n, telemetry.Label{Name: "reason", Value: reason})
	}
	refused("invalid", s.Invalid)
	refused("overloaded", s.Overloaded)
	refused("disk", s.Refused)
	refused("rate", ts.Refused())
	dropped := func(limit string, left store.Left) {
		counter("etude_store_dropped_spans_total", "Oldest spans dropped, by the limit reached.", left.Spans, telemetry.Label{Name: "limit", Value: limit})
	}
	dropped("age", s.LeftByAge)
	dropped("memory", s.LeftByMemory)
	dropped("spans", s.LeftBySpans)
	dropped("disk", s.LeftByDisk)
	gauge("etude_store_spans", "Spans stored.", s.Spans)
	gauge("etude_store_tables", "Tables in memory.", int64(s.Tables))
	gauge("etude_store_head_bytes", "Memory of the spans.", s.HeadBytes)
	gauge("etude_store_disk_bytes", "Disk space of log and blocks.", s.DiskBytes)
	gauge("etude_store_blocks", "Blocks on disk.", s.Blocks)
	gauge("etude_store_block_spans", "Spans in blocks; etude_store_spans includes them.", s.BlockSpans)
	gauge("etude_store_block_bytes", "Disk space of the blocks; etude_store_disk_bytes includes it.", s.BlockBytes)
	counter("etude_store_cuts_total", "Blocks written from the oldest tables.", s.Cuts)
	counter("etude_store_merges_total", "Merges of neighbouring blocks.", s.Merges)
	counter("etude_store_cut_failures_total", "Failed attempts to write a block.", s.CutFailures)
	counter("etude_store_damaged_blocks_total", "Blocks that could not be read and were moved aside; /status names them.", s.BlocksDamaged)
	gauge("etude_store_waiting_bytes", "Bytes received but not yet stored.", s.Waiting)
}

// tenantLabels returns the label that names a tenant, or no label.
func tenantLabels(tenant string) []telemetry.Label {
	if tenant == "" {
		return nil
	}
	return []telemetry.Label{{Name: "tenant", Value: tenant}}
}
