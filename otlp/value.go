package otlp

import "etude/trace"

// ReadValue reads an encoded AnyValue: its type, and as content what [trace.Value]
// has as Str, or the number of an Int, Double or Bool. The content is a part of b.
func ReadValue(b []byte) (t trace.Type, content []byte, number uint64, err error) {
	f, c := lastField(anyValue, b)
	if c.Err != nil {
		return trace.Empty, nil, 0, c.Err
	}
	if f == nil {
		return trace.Empty, nil, 0, nil
	}
	switch c.Number {
	case 1:
		return trace.String, c.Data, 0, nil
	case 2:
		return trace.Bool, nil, min(c.Value, 1), nil
	case 3:
		return trace.Int, nil, c.Value, nil
	case 4:
		return trace.Double, nil, c.Value, nil
	case 5:
		return trace.Array, b, 0, nil
	case 6:
		return trace.KVList, b, 0, nil
	case 7:
		return trace.Bytes, c.Data, 0, nil
	}
	return trace.Empty, nil, 0, nil
}

// AppendArray appends an encoded AnyValue that is an array of values.
func AppendArray(b []byte, values []trace.Value) []byte {
	var e encoder
	e.B = b
	at := e.Open(5)
	for _, v := range values {
		element := e.Open(1)
		e.B = AppendValue(e.B, v)
		e.Close(element)
	}
	e.Close(at)
	return e.B
}
