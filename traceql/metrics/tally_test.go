package metrics

import "testing"

// TestQueriesOfScopes tells for which queries the scopes of a part are enough.
func TestQueriesOfScopes(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]bool{
		`{ } | rate()`:                                                        true,
		`{ } | rate() by(resource.service.name)`:                              true,
		`{ resource.service.name = "a" } | count_over_time()`:                 true,
		`{ instrumentation:name = "a" } | rate() by(instrumentation:version)`: true,
		`{ resource.a = 1 || resource.b != nil } | rate() | topk(3)`:          true,
		`{ .service.name = "a" } | rate()`:                                    false,
		`{ } | rate() by(trace:id)`:                                           false,
		`{ trace:id = "1" } | rate()`:                                         false,
		`{ } | rate() by(name)`:                                               false,
		`{ span:id = "1" } | rate()`:                                          false,
		`{ kind = server } | rate()`:                                          false,
		`{ } | min_over_time(resource.size)`:                                  false,
		`{ event:name = "a" } | rate()`:                                       false,
		`{ rootName = "a" } | rate()`:                                         false,
		`{ } >> { } | rate()`:                                                 false,
	} {
		if got := compileMetrics(t, query).tallied; got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}
