package otlp

// The other signals of OTLP, as far as they are turned from JSON to protobuf
// (opentelemetry-proto, metrics/v1 and logs/v1).

var (
	exemplar = &message{name: "Exemplar", fields: []field{
		2: num("time_unix_nano", formFixed64), 3: num("as_double", formDouble),
		4: id("span_id", formAnyID, 8), 5: id("trace_id", formAnyID, 16),
		6: num("as_int", formSFixed64), 7: many("filtered_attributes", keyValue)}}

	numberPoint = &message{name: "NumberDataPoint", fields: []field{
		2: num("start_time_unix_nano", formFixed64), 3: num("time_unix_nano", formFixed64), 4: num("as_double", formDouble),
		5: many("exemplars", exemplar), 6: num("as_int", formSFixed64), 7: many("attributes", keyValue), 8: num("flags", formVarint)}}
	histogramPoint = &message{name: "HistogramDataPoint", fields: []field{
		2: num("start_time_unix_nano", formFixed64), 3: num("time_unix_nano", formFixed64), 4: num("count", formFixed64),
		5: num("sum", formDouble), 6: nums("bucket_counts", formFixed64), 7: nums("explicit_bounds", formDouble),
		8: many("exemplars", exemplar), 9: many("attributes", keyValue), 10: num("flags", formVarint),
		11: num("min", formDouble), 12: num("max", formDouble)}}
	buckets = &message{name: "Buckets", fields: []field{
		1: num("offset", formSInt32), 2: nums("bucket_counts", formUint64)}}
	exponentialPoint = &message{name: "ExponentialHistogramDataPoint", fields: []field{
		1: many("attributes", keyValue), 2: num("start_time_unix_nano", formFixed64), 3: num("time_unix_nano", formFixed64),
		4: num("count", formFixed64), 5: num("sum", formDouble), 6: num("scale", formSInt32), 7: num("zero_count", formFixed64),
		8: one("positive", buckets), 9: one("negative", buckets), 10: num("flags", formVarint), 11: many("exemplars", exemplar),
		12: num("min", formDouble), 13: num("max", formDouble), 14: num("zero_threshold", formDouble)}}
	quantile = &message{name: "ValueAtQuantile", fields: []field{
		1: num("quantile", formDouble), 2: num("value", formDouble)}}
	summaryPoint = &message{name: "SummaryDataPoint", fields: []field{
		2: num("start_time_unix_nano", formFixed64), 3: num("time_unix_nano", formFixed64), 4: num("count", formFixed64),
		5: num("sum", formDouble), 6: many("quantile_values", quantile), 7: many("attributes", keyValue), 8: num("flags", formVarint)}}

	temporality = enum("aggregation_temporality", "AGGREGATION_TEMPORALITY_UNSPECIFIED", "AGGREGATION_TEMPORALITY_DELTA", "AGGREGATION_TEMPORALITY_CUMULATIVE")

	gauge       = &message{name: "Gauge", fields: []field{1: many("data_points", numberPoint)}}
	sum         = &message{name: "Sum", fields: []field{1: many("data_points", numberPoint), 2: temporality, 3: num("is_monotonic", formBool)}}
	histogram   = &message{name: "Histogram", fields: []field{1: many("data_points", histogramPoint), 2: temporality}}
	exponential = &message{name: "ExponentialHistogram", fields: []field{1: many("data_points", exponentialPoint), 2: temporality}}
	summary     = &message{name: "Summary", fields: []field{1: many("data_points", summaryPoint)}}

	metric = &message{name: "Metric", fields: []field{
		1: str("name"), 2: str("description"), 3: str("unit"), 5: one("gauge", gauge), 7: one("sum", sum),
		9: one("histogram", histogram), 10: one("exponential_histogram", exponential), 11: one("summary", summary),
		12: many("metadata", keyValue)}}
	scopeMetrics = &message{name: "ScopeMetrics", fields: []field{
		1: one("scope", scope), 2: many("metrics", metric), 3: str("schema_url")}}
	resourceMetrics = &message{name: "ResourceMetrics", fields: []field{
		1: one("resource", resource), 2: many("scope_metrics", scopeMetrics), 3: str("schema_url")}}
	metricsData = &message{name: "MetricsData", fields: []field{1: many("resource_metrics", resourceMetrics)}}

	// Of logs only the number matters: their members are unknown here, and ignored.
	logRecord    = &message{name: "LogRecord"}
	scopeLogs    = &message{name: "ScopeLogs", fields: []field{2: many("log_records", logRecord)}}
	resourceLogs = &message{name: "ResourceLogs", fields: []field{2: many("scope_logs", scopeLogs)}}
	logsData     = &message{name: "LogsData", fields: []field{1: many("resource_logs", resourceLogs)}}
)

func nums(name string, f form) field {
	out := num(name, f)
	out.repeated = true
	return out
}

// MetricsFromJSON turns an OTLP/JSON ExportMetricsServiceRequest into protobuf
// bytes, by the rules of [FromJSON].
func MetricsFromJSON(text []byte) ([]byte, error) { return fromJSON(metricsData, text) }

// LogsFromJSON turns an OTLP/JSON ExportLogsServiceRequest into protobuf bytes that have the same number of log
// records, all empty: etude counts logs and does not store them.
func LogsFromJSON(text []byte) ([]byte, error) { return fromJSON(logsData, text) }
