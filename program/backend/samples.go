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

// samples tells the metrics endpoint where the counters are.
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
		counter("etude_receive_rejected_spans_total", "Spans left out of requests that were acknowledged: not valid, such as an id of the wrong length.", p.Rejected)
		for _, reason := range slices.Sorted(maps.Keys(p.Refused)) {
			counter("etude_receive_refused_requests_total", "Requests refused, by reason.", p.Refused[reason], telemetry.Label{Name: "reason", Value: reason})
			counter("etude_receive_refused_spans_total", "Spans of refused requests, by reason, where the request could be read so far.", p.RefusedSpans[reason], telemetry.Label{Name: "reason", Value: reason})
		}
	}
	yield(telemetry.Sample{Name: "etude_receive_open_connections", Help: "Open connections.", Gauge: true, Value: float64(c.Connections)})
	yield(telemetry.Sample{Name: "etude_receive_requests_in_flight", Help: "Requests being received now.", Gauge: true, Value: float64(c.InFlight)})
	yield(telemetry.Sample{Name: "etude_receive_in_flight_bytes", Help: "Memory that the requests being received take.", Gauge: true, Value: float64(c.InFlightBytes)})
	yield(telemetry.Sample{Name: "etude_receive_arriving_bytes", Help: "Memory that requests take that have not arrived whole.", Gauge: true, Value: float64(c.ArrivingBytes)})
	total := func(name, help string, v uint64, labels ...telemetry.Label) {
		yield(telemetry.Sample{Name: name, Help: help, Labels: labels, Value: float64(v)})
	}
	total("etude_receive_cut_connections_total", "Connections closed because they were silent, slow, malformed or too many.", c.Cut)
	total("etude_receive_idle_closed_connections_total", "Connections closed because they had been idle for the longest and the table of connections was full.", c.IdleClosed)
	total("etude_receive_overfull_connections_total", "Connections cut because unfinished requests took too much memory and theirs took the most.", c.Overfull)
	total("etude_receive_wrong_port_connections_total", "OTLP connections that came to the other protocol's port, and were served.", c.WrongPort)
	total("etude_receive_metric_points_total", "Data points of OTLP metrics acknowledged.", c.Points)
	total("etude_receive_rejected_total", "Log records and data points of metrics that were answered by a partial success: not kept.", c.RejectedLogs, telemetry.Label{Name: "signal", Value: "logs"})
	total("etude_receive_rejected_total", "Log records and data points of metrics that were answered by a partial success: not kept.", c.RejectedPoints, telemetry.Label{Name: "signal", Value: "metrics"})
}

func cacheSamples(s block.CacheStats, yield func(telemetry.Sample)) {
	read := func(outcome string, n int64) {
		yield(telemetry.Sample{Name: "etude_block_cache_reads_total", Help: "Columns of blocks that queries asked for: found in the cache, or read from disk.",
			Labels: []telemetry.Label{{Name: "outcome", Value: outcome}}, Value: float64(n)})
	}
	read("hit", s.Hits)
	read("miss", s.Misses)
	yield(telemetry.Sample{Name: "etude_block_cache_evicted_total", Help: "Columns that had to leave the cache for others.", Value: float64(s.Evicted)})
	yield(telemetry.Sample{Name: "etude_block_cache_bytes", Help: "Memory of the columns in the cache; bounded by --blocks.cache.", Gauge: true, Value: float64(s.Bytes)})
}

func querySamples(s query.Stats, yield func(telemetry.Sample)) {
	yield(telemetry.Sample{Name: "etude_query_memory_bytes", Help: "Memory that the queries being answered keep, their answers included.", Gauge: true, Value: float64(s.Memory)})
	yield(telemetry.Sample{Name: "etude_query_facts_bytes", Help: "Memory of what queries keep about parts of the spans for those that follow; bounded by --query-facts-memory.", Gauge: true, Value: float64(s.Facts)})
	for _, name := range slices.Sorted(maps.Keys(s.Limits)) {
		yield(telemetry.Sample{Name: "etude_query_limit_hits_total", Help: "Queries that ended at a limit, by limit.",
			Labels: []telemetry.Label{{Name: "limit", Value: name}}, Value: float64(s.Limits[name])})
	}
	yield(telemetry.Sample{Name: "etude_query_partial_traces_total", Help: "Traces with more spans than --max-trace-spans that were asked for by their id: part of them was answered, or nothing.", Value: float64(s.Partial)})
}

// storeSamples are those of one store, with its tenant for a label if it has one.
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
	counter("etude_store_spans_total", "Spans stored that were new.", s.Appended)
	counter("etude_store_duplicate_spans_total", "Spans stored before, sent again.", s.Duplicates)
	counter("etude_store_rejected_spans_total", "Spans left out of requests: not valid, such as an id of the wrong length.", s.Rejected)
	counter("etude_store_mended_payloads_total", "Requests with text that was not UTF-8; U+FFFD was stored for it.", s.Mended)
	lost := func(what string, n int64) {
		counter("etude_store_lost_parts_total", "Parts of spans beyond a limit, dropped or cut; the rest of the span is stored.", n, telemetry.Label{Name: "part", Value: what})
	}
	lost("attribute", s.Lost.Attributes)
	lost("event", s.Lost.Events)
	lost("link", s.Lost.Links)
	lost("cut_attribute", s.Lost.Cut)
	counter("etude_store_shared_columns_total", "Attribute keys beyond --max-columns, which share memory.", s.Lost.SharedColumns)
	counter("etude_store_replayed_spans_total", "Spans read back from the log at the start.", s.Replayed)
	counter("etude_store_damaged_records_total", "Damaged stretches found in the log at the start.", s.Damaged)
	counter("etude_store_missing_spans_total", "Spans lost because a file of the log was missing, cut short or exchanged, as far as is known.", s.Missing)
	gauge("etude_store_log_problems", "Files of the log that were missing, cut short or exchanged, and blocks that cannot be read; /status names them.", s.Problems)
	refused := func(reason string, n int64) {
		counter("etude_store_refused_payloads_total", "Requests refused by the storage, by reason.", n, telemetry.Label{Name: "reason", Value: reason})
	}
	refused("invalid", s.Invalid)
	refused("overloaded", s.Overloaded)
	refused("disk", s.Refused)
	refused("rate", ts.Refused())
	dropped := func(limit string, left store.Left) {
		counter("etude_store_dropped_spans_total", "Spans dropped as the oldest, by the limit reached.", left.Spans, telemetry.Label{Name: "limit", Value: limit})
	}
	dropped("age", s.LeftByAge)
	dropped("memory", s.LeftByMemory)
	dropped("spans", s.LeftBySpans)
	dropped("disk", s.LeftByDisk)
	gauge("etude_store_spans", "Spans held.", s.Spans)
	gauge("etude_store_tables", "Tables held.", int64(s.Tables))
	gauge("etude_store_head_bytes", "Memory that the spans take.", s.HeadBytes)
	gauge("etude_store_disk_bytes", "Disk that log and blocks take.", s.DiskBytes)
	gauge("etude_store_blocks", "Blocks held.", s.Blocks)
	gauge("etude_store_block_spans", "Spans held in blocks; etude_store_spans has them, too.", s.BlockSpans)
	gauge("etude_store_block_bytes", "Disk that the blocks take; etude_store_disk_bytes has it, too.", s.BlockBytes)
	counter("etude_store_cuts_total", "Times that the oldest tables became a block.", s.Cuts)
	counter("etude_store_merges_total", "Times that neighbouring blocks became one.", s.Merges)
	counter("etude_store_cut_failures_total", "Times that a block could not be written.", s.CutFailures)
	counter("etude_store_damaged_blocks_total", "Blocks that could not be read and were set aside; /status names them.", s.BlocksDamaged)
	gauge("etude_store_waiting_bytes", "Bytes received and not yet stored.", s.Waiting)
}

// tenantLabels name a tenant; none when there is none.
func tenantLabels(tenant string) []telemetry.Label {
	if tenant == "" {
		return nil
	}
	return []telemetry.Label{{Name: "tenant", Value: tenant}}
}
