package trace_test

import (
	"context"
	"fmt"
	"testing"

	"etude/trace"
)

// arrived returns a View of one span.
func arrived(id byte, at int64) *trace.View {
	t := trace.NewTable()
	t.Arrived(at)
	t.AddResource(nil, 0, 0, 0)
	t.EndResource()
	t.AddScope(nil, 0, 0, 0, 0, 0)
	t.EndScope()
	t.AddSpan(&trace.Span{TraceID: trace.TraceID{id}, SpanID: trace.SpanID{id, byte(at)}})
	t.EndSpan()
	return t.View()
}

func TestJoin(t *testing.T) {
	t.Parallel()
	ids := []trace.PartID{{Number: 1}, {Number: 2}}
	a := trace.Resident(ids, []*trace.View{arrived(1, 10), arrived(2, 30)})
	b := trace.Resident(ids, []*trace.View{arrived(2, 5), arrived(3, 30)})
	j := trace.Join(a, trace.Resident(nil, nil), b)
	defer j.Close()
	order := ""
	for i, p := range j.Parts() {
		v, err := j.Open(context.Background(), i, trace.Everything())
		if err != nil {
			t.Fatal(err)
		}
		first, _ := v.Arrivals()
		if first != p.FirstArrival {
			t.Errorf("part %d: arrived at %d, opened one of %d", i, p.FirstArrival, first)
		}
		order += fmt.Sprint(v.TraceIDs[0][0], " ")
	}
	if order != "2 1 2 3 " {
		t.Errorf("the parts have traces %s", order)
	}
	for id, want := range map[byte]string{1: "[1]", 2: "[0 2]", 3: "[3]", 4: "[]"} {
		if found, err := j.Find(context.Background(), trace.TraceID{id}); err != nil || fmt.Sprint(found) != want {
			t.Errorf("trace %d is in %v, %v: want %s", id, found, err, want)
		}
	}
	if one := trace.Join(a); one != a {
		t.Error("one snapshot was wrapped")
	}
}
