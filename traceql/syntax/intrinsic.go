package syntax

// Canonical names of the intrinsics: the keys in answers.
const (
	Name            = "name"
	Duration        = "duration"
	Status          = "status"
	StatusMessage   = "statusMessage"
	Kind            = "kind"
	SpanID          = "span:id"
	ParentID        = "span:parentID"
	ChildCount      = "span:childCount"
	TraceDuration   = "traceDuration"
	RootName        = "rootName"
	RootService     = "rootServiceName"
	TraceID         = "trace:id"
	EventName       = "event:name"
	EventTime       = "event:timeSinceStart"
	LinkTraceID     = "link:traceID"
	LinkSpanID      = "link:spanID"
	ScopeName       = "instrumentation:name"
	ScopeVersion    = "instrumentation:version"
	NestedSetLeft   = "nestedSetLeft"
	NestedSetRight  = "nestedSetRight"
	NestedSetParent = "nestedSetParent"
)

// bareIntrinsics has the intrinsics written without a scope.
var bareIntrinsics = map[string]string{
	"name": Name, "duration": Duration, "status": Status, "statusMessage": StatusMessage, "kind": Kind,
	"traceDuration": TraceDuration, "rootName": RootName, "rootServiceName": RootService,
	"nestedSetLeft": NestedSetLeft, "nestedSetRight": NestedSetRight, "nestedSetParent": NestedSetParent,
}

// scopedIntrinsics has the intrinsics written with a scope.
var scopedIntrinsics = map[string]string{
	"span:name": Name, "span:duration": Duration, "span:status": Status, "span:statusMessage": StatusMessage,
	"span:kind": Kind, "span:id": SpanID, "span:parentID": ParentID, "span:childCount": ChildCount,
	"trace:duration": TraceDuration, "trace:rootName": RootName, "trace:rootService": RootService, "trace:id": TraceID,
	"event:name": EventName, "event:timeSinceStart": EventTime,
	"link:traceID": LinkTraceID, "link:spanID": LinkSpanID,
	"instrumentation:name": ScopeName, "instrumentation:version": ScopeVersion,
}

// statusWords and kindWords are indexed by OTLP's numbers.
var (
	statusWords = []string{"unset", "ok", "error"}
	kindWords   = []string{"unspecified", "internal", "server", "client", "producer", "consumer"}
)

// StatusWord returns the word of a status. Numbers that OTLP does not define read as zero.
func StatusWord(n int64) string { return word(statusWords, n) }

// KindWord returns the word of a kind. Numbers that OTLP does not define read as zero.
func KindWord(n int64) string { return word(kindWords, n) }

func word(words []string, n int64) string {
	if n < 0 || n >= int64(len(words)) {
		n = 0
	}
	return words[n]
}

func wordNumber(words []string, w string) (int64, bool) {
	for i, known := range words {
		if known == w {
			return int64(i), true
		}
	}
	return 0, false
}
