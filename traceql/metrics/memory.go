package metrics

// atSeries is the format for series and their samples.
const atSeries = "%d series of %d samples"

// Sizes in memory, in bytes.
const (
	valueBytes  = 64
	labelBytes  = valueBytes + 96 // a distinct value, with its key and its place in a map
	pairBytes   = 40              // likewise a pair of numbers
	attrBytes   = 16 + valueBytes
	seriesBytes = 160     // a series of the answer, and its key while it is put together
	sampleBytes = 16 + 48 // a sample of the answer, and the text that is made of it
	rankedBytes = 48      // a sample while topk or bottomk ranks it
)
